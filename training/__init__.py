"""Trains BioCLIP 2 from the published dataset."""
