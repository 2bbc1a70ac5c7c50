"""Frame jobs as WGSL, for WebGPU on the GPUs of every brand."""
