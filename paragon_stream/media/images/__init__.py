"""Still images and numbered image sequences.

Pixels go through FFmpeg, which reads and writes every kind at 8 and 16 bits, with JPEG's own YUV planes; JPEG
is written by libjpeg-turbo (simplejpeg), whose quantisation is finer than FFmpeg's. FFmpeg carries neither
ICC profiles nor Exif to where they are needed, so `metadata` and `exif` copy them from file to file.
"""
