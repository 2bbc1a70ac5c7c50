"""Frame jobs for our own kernels on CPUs: weights and tables in the kernels' order."""
