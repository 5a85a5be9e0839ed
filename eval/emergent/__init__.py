"""What an embedding knows that nobody named: ecology between species, variation within them; each with its controls."""
