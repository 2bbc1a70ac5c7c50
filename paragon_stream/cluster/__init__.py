"""Renders in chunks on a Ray cluster: `chunks/` says what a chunk is, Ray where and when it is rendered."""
