"""Judges trained models: on species, beyond species, and on pictures of your own."""
