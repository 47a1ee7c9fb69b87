"""Owns a server's log: what it says about why the server did not come up, and how long it gets."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

MAX_BYTES = 10_000_000
"""Callers can fill a log: each request that is refused is a line."""

_LAST_WORDS = re.compile(r"^ +what\(\): +(.*)", re.MULTILINE)
# The most telling first; each as Triton 2.51 writes it.
_REASONS = (
    re.compile(r"failed to load '\S+' (version \d+: .*)\""),
    # Every machine without a GPU's driver logs the error about CudaDriverHelper.
    re.compile(r"^E\d{4} \S+ \d+ \S+\] \"(?!CudaDriverHelper)(.*)\"", re.MULTILINE),
    re.compile(r"^error: (.*)", re.MULTILINE),
)
_NOISE = re.compile(r"Internal: |\\n\\nAt:.*")


def reason_of(log: Path) -> str:
    """Return what a server said last before it ended."""
    text = _read(log)
    for pattern in _REASONS:
        if found := pattern.findall(text):
            return _NOISE.sub("", found[-1]).strip()
    lines = text.split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "an empty log")


def last_words(log: Path) -> str:
    """Return what the C++ runtime said of an exception that nobody caught, before SIGABRT."""
    return next(reversed(_LAST_WORDS.findall(_read(log))), "")


def cut_log(log: Path) -> None:
    """Put a log aside and begin anew, if it has grown beyond `MAX_BYTES`; its server goes on.

    Without room for the old one, or where it cannot be read, it is not kept.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > MAX_BYTES:
            with contextlib.suppress(OSError):
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def _read(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError as error:  # somebody removed it
        return f"{log}: {error.strerror}"
