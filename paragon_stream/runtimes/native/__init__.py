"""The engine `native`: which kernels compute a job, and the work of its threads."""
