"""Torch modules of the ParagonSR family (extra: torch)."""

from paragon_stream.models.load import load

__all__ = ["load"]
