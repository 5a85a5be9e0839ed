"""The ranks of a lineage, from the top: a file of its own, since what needs no tables needs it, too."""

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
