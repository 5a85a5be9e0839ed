"""What the dataset is: schemas, artifacts, pixels, card, statistics, loading. Imports none of ours."""
