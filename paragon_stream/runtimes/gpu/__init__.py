"""Sessions on GPUs: scheduling, self-check, several devices, and the programs that run on them."""
