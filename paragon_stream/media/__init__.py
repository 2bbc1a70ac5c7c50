"""Files in, files out. PyAV is imported here and nowhere else."""
