"""The facts of a file: its streams, tags, colours, fields and tracks; the list of containers."""
