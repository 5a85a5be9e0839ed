"""The steps of a build: which artifacts a stage reads, which function makes it, what it leaves."""
