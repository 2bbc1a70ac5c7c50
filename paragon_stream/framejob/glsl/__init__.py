"""Networks as user shaders for mpv and for everything else that is built on libplacebo."""
