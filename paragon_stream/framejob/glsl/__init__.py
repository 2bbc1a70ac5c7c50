"""Networks as user shaders for mpv and other programs that use libplacebo."""
