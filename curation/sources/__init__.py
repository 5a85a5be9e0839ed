"""Readers of the providers' own formats, one file each; each returns rows of `schema.SOURCE`."""
