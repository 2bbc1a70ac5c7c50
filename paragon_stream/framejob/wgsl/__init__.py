"""Frame jobs as WGSL, which WebGPU runs on the GPUs of every brand."""
