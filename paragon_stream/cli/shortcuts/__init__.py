"""What makes a command line shorter: profiles, and completion by the shell."""
