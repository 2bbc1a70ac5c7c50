"""The command line. Each command parses its arguments, calls the package and prints; no other room prints."""
