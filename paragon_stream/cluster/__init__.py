"""Renders in chunks on a Ray cluster: `chunks/` defines the chunks, Ray decides where and when each is
rendered."""
