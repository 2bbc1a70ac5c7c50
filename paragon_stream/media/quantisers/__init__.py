"""The quantisers of frames, from decoders and packet headers, on one scale.

`exported`: what decoders export (H.264, MPEG-1/2/4, VP9). `hevc`, `av1`: read from packet headers, because
those decoders export nothing. `scale`: everything on H.264's 8-bit scale. `meter`: chooses for a stream.

Comments in the readers of headers name the syntax elements of the standards.
"""
