"""The display of a running command: lines and bars for people, events for programs."""
