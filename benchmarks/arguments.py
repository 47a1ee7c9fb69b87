"""Owns the arguments that benchmarks share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from serve.commands import number


def add_shared(parser: argparse._ActionsContainer, config: object, *names: str) -> None:
    """Add options that several benchmarks have, with the defaults of a benchmark's settings."""
    for name in names:
        default = getattr(config, name)
        said = f"{_SHARED[name]['help']}{'' if default in (None, False) else f' ({default})'}"
        parser.add_argument(f"--{name}", default=default, **_SHARED[name] | {"help": said})


def json_file(text: str) -> Path:
    """Return the path of a file whose name ends in `.json`, and which can be written.

    Raises:
        argparse.ArgumentTypeError: If it does not, or cannot: told before the measuring.
    """
    path = Path(text)
    if path.suffix != ".json":
        raise argparse.ArgumentTypeError(f"expected a name that ends in .json, got {text}")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        place = path if path.is_dir() else above
        raise argparse.ArgumentTypeError(f"expected a place for a file, got {place}, which is none")
    return path


_seconds = number("seconds of at least 0", lambda value: value >= 0)
_SHARED: dict[str, dict[str, Any]] = {
    "checkpoint": {"type": Path, "metavar": "DIR", "help": "the trained tagger"},
    "bundle": {"type": Path, "metavar": "DIR", "help": "its bundle"},
    "data": {"type": Path, "help": "JSON lines instead of the checkpoint's own"},
    "output": {"type": json_file, "metavar": "FILE.json", "help": "the raw samples, overwritten"},
    "json": {"action": "store_true", "help": "print the JSON document only"},
    "seconds": {"type": _seconds, "metavar": "N", "help": "least time to measure for"},
}
