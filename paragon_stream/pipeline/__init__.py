"""Stages in threads, connected by bounded channels. Standard library only; knows no video."""
