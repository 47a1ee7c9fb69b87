"""Finds processes by what stands on their command line, for tests that nothing was left running."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def processes_naming(path: Path) -> list[int]:
    """Return the ids of the processes, but this one, whose command line names a path."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if str(path).encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found
