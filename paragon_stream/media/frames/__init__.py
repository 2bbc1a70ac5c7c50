"""Decoded frames to the planes of frame jobs: fields, film, changes of format, strengths."""
