"""Shortcuts for the command line: profiles, and completion by the shell."""
