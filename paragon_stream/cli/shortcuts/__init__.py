"""What commands share: profiles, completion by the shell, and paths as arguments."""
