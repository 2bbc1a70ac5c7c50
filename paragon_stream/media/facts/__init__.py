"""What a file is: its streams, tags, colours, fields, tracks, and the containers there are."""
