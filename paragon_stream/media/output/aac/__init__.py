"""AAC as transport streams have it (ADTS, LATM), made what MP4 and Matroska hold."""
