"""A render in chunks: planned once, each rendered by any process on any machine, joined without a seam."""
