"""Makes the dataset: sources, names, pictures, duplicates, verdicts, shards."""
