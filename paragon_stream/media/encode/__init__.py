"""Planes to packets or pipes: encoders, YUV4MPEG2, the folder of an unfinished output."""
