"""What a command shows while it works: lines and bars for people, events for programs."""
