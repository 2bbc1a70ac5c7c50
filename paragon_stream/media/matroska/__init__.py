"""Matroska's own elements (RFC 9559) that FFmpeg neither reads nor writes."""
