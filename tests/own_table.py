"""The recipe of a table of one's own pictures, for tests that need a small build of their own."""

RECIPE = """
name = "mine"
[[source]]
kind = "own"
name = "o"
path = "t.csv"
licence = "CC0"
[verdict]
min_rank = "any"
min_side_px = 20
"""
