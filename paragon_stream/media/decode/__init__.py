"""Packets to frames: the decoder on the CPU or on NVDEC, seeking, timestamps."""
