"""The output file: the plan of its streams, the writer, and what is copied or converted beside the video."""
