"""Opening a source: its bytes, wherever they are, and the container."""
