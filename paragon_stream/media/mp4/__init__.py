"""MP4 and MOV, box by box (ISO/IEC 14496-12)."""
