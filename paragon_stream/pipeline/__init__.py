"""Stages in threads, connected by bounded channels. Standard library only; nothing here depends on video."""
