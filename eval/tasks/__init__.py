"""Tasks beyond telling species: one file each."""
