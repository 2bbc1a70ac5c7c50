"""Converts AAC of transport streams (ADTS, LATM) to the form that MP4 and Matroska store."""
