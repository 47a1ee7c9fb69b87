"""Owns the memory of a process group: Triton's server and the processes of its models.

Pages that several of them share count once: proportional set sizes are added up.
"""

from __future__ import annotations

import os
from pathlib import Path


def group_bytes(process_group: int) -> int:
    """Return the memory of all processes of a group, shared pages counted once."""
    return sum(_proportional_bytes(process) for process in _processes(process_group))


def _processes(process_group: int) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*") if _group_of(path) == process_group]


def _group_of(process: Path) -> int | None:
    try:
        return os.getpgid(int(process.name))
    except ProcessLookupError:  # it ended meanwhile
        return None


def _proportional_bytes(process: Path) -> int:
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it ended meanwhile
        pass
    return 0
