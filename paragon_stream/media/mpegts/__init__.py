"""MPEG transport streams, packet by packet (ISO/IEC 13818-1)."""
