"""Frame jobs as CUDA source for our own kernels."""
