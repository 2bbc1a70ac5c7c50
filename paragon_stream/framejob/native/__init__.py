"""Frame jobs for this package's CPU kernels: weights and tables in the kernels' order."""
