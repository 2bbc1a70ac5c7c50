"""Paths as arguments of commands."""

from __future__ import annotations

from functools import partial

import click

FilePath = partial(click.Path, readable=False)
"""A `click.Path` that does not ask for the right to read. A file that cannot be read is reported where it is
opened, like any other that cannot be used: the other files of a run continue."""
