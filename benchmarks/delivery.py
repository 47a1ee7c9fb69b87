"""Owns how a benchmark delivers what it found: its JSON file, its table, and its last line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serve.files import write_durably


def write_json(path: Path, body: object, **form: Any) -> None:  # noqa: ANN401
    """Write a JSON document, whole or not at all; in a form that `json.dumps` knows."""
    write_durably(path, (json.dumps(body, **form) + "\n").encode())


def short(value: float) -> float:
    """Return a figure to five digits."""
    return float(f"{value:.5g}")


@contextmanager
def delivering(text: str | None, summary: object) -> Iterator[None]:
    """Print a table, if any, and the document that is the last line, when its block has written.

    So they are if it fails, too: they took long, and a full disk shall not cost them.
    """
    try:
        yield
    finally:
        if text is not None:
            print(text, end="\n\n")
        print(json.dumps(summary, separators=(",", ":")))
