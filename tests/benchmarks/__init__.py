"""Programs that measure what the README claims; one form for all (see `harness`)."""
