"""The words of the test clips: three events each, all within the first half second."""

ASS_SCRIPT = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Arial,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1
Style: Sign,Georgia,24,&H0000FFFF,&H000000FF,&H00000000,&H00000000,-1,0,0,0,100,100,0,0,1,1,0,8,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.04,0:00:00.20,Default,,0,0,0,,Hello, {\\i1}world{\\i0}
Dialogue: 0,0:00:00.20,0:00:00.36,Sign,,0,0,0,,{\\pos(100,40)}Zwölf Boxkämpfer
Dialogue: 0,0:00:00.40,0:00:00.48,Default,,0,0,0,,Two\\Nlines
"""

SRT_SCRIPT = """1
00:00:00,040 --> 00:00:00,200
Hello, <i>world</i>

2
00:00:00,200 --> 00:00:00,360
Zwölf Boxkämpfer

3
00:00:00,400 --> 00:00:00,480
Two
lines
"""
