"""Stages that touch picture bytes: fetching, hashing, scoring."""
