"""The quantisers of frames, from decoders and packet headers, on one scale.

`meter`: chooses for a stream. `exported`: what decoders export (H.264, MPEG-1/2/4, VP9). `hevc`, `av1`,
`jpeg`: read from packet headers, because those decoders export nothing; `h264`, `vp9`: the same for decoders
on GPUs. `scale`: everything on H.264's 8-bit scale.

Comments in the readers of headers name the syntax elements of the standards.
"""
