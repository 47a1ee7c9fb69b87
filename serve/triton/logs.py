"""Owns what a log of Triton says about why the server did not come up."""

from __future__ import annotations

import re
from pathlib import Path

# The most telling first; each as Triton 2.51 writes it.
_REASONS = (
    re.compile(r"failed to load '\S+' (version \d+: .*)\""),
    # Every machine without a GPU's driver logs the error about CudaDriverHelper.
    re.compile(r"^E\d{4} \S+ \d+ \S+\] \"(?!CudaDriverHelper)(.*)\"", re.MULTILINE),
    re.compile(r"^error: (.*)", re.MULTILINE),
)
_LOST_PORT = re.compile(r"Socket '\S+' already in use")
_NOISE = re.compile(r"Internal: |\\n\\nAt:.*")


def reason_of(log: Path) -> str:
    """Return what a server said last before it ended."""
    text = _read(log)
    for pattern in _REASONS:
        if found := pattern.findall(text):
            return _NOISE.sub("", found[-1]).strip()
    lines = text.split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "an empty log")


def is_lost_port(log: Path) -> bool:
    """Return whether a server ended because somebody else has its port."""
    return bool(_LOST_PORT.search(_read(log)))


def _read(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError as error:  # somebody removed it
        return f"{log}: {error.strerror}"
