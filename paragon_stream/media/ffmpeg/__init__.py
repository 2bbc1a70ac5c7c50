"""How FFmpeg is spoken to: its errors, its log, its planes and pixel formats."""
