"""Pieces of a film rendered in several ways, and a page that shows them side by side."""
