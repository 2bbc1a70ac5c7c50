"""The command line. Each command parses arguments, calls the package and prints. Only this folder prints."""
