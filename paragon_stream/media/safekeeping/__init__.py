"""The saved work of an unfinished render: its journal, its packets, and computed frames."""
