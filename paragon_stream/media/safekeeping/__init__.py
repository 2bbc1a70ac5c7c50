"""What keeps the work of an unfinished render: its journal, its packets, and frames that were computed."""
