"""The command line: each command parses, calls the package, prints. Nothing below prints."""
