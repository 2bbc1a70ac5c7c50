"""`paragon-stream doctor`: what this machine has, and whether its engines work."""
