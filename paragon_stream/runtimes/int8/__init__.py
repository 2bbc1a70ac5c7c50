"""INT8 on CPUs: the choice of layers, and frame jobs in INT8."""
