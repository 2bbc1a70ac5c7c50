"""Live sources and outputs: screens, capture devices, network streams, pipes, a player's window."""
