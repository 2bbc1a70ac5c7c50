"""The interface to FFmpeg: its errors, its log, its planes and pixel formats."""
