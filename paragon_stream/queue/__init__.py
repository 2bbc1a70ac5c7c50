"""Many files in one run: found, named, rendered one after another, with a journal of their states."""
