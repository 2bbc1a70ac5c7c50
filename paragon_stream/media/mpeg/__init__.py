"""MPEG transport streams and MPEG video, byte by byte (ISO/IEC 13818-1 and -2)."""
