"""Owns what a log of Triton says about why the server did not come up."""

from __future__ import annotations

import re
from pathlib import Path

_FAILED_MODEL = re.compile(r"failed to load '\S+' version (\d+): (?:Internal: )?(.*)")
_SOCKET = re.compile(r"Socket '(\S+)' already in use|failed to start \S+ .*", re.IGNORECASE)
_ERROR = re.compile(r"^error: (.*)", re.MULTILINE)


def reason_of(log: Path) -> str:
    """Return the line that says why a server ended, in its own words."""
    text = log.read_text(errors="replace")
    if found := _FAILED_MODEL.search(text):
        return f"version {found[1]}: {found[2]}"
    errors = _ERROR.findall(text)
    return errors[-1] if errors else "no reason in its log"


def is_lost_port(log: Path) -> bool:
    """Return whether a server ended because somebody else has its port."""
    return bool(_SOCKET.search(log.read_text(errors="replace")))
