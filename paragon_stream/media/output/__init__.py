"""The output file: the plan of its streams, the writer, and the copied and converted streams."""
