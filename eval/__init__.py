"""Judges trained models (not written yet)."""
