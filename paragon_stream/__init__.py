"""Real-time video super-resolution with the ParagonSR2 networks: planes in, planes out."""

__version__ = "0.1.0"
