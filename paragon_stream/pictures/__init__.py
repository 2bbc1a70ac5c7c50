"""Single pictures: the files of a request, one picture in tiles, and many of them in one call."""
