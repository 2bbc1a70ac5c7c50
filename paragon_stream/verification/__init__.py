"""Proof of a render: source and output are both read back and compared."""
