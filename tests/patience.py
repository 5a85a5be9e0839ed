"""How long a test waits for a process that it started before it says that it hangs."""

PATIENCE_S = 900  # machines that are shared are now and then several times slower than usual
