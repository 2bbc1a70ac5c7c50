"""INT8 on CPUs: which layers bear it, and frame jobs in it."""
