"""Owns a memory curve: bytes against lines, and the verdict on whether it is flat.

The first fifth of the lines warms up: the runtime's arena grows to the largest batch it has seen.
What grows after that, by least squares, is growth. Knows nothing of models.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_GROWTH_MB = 1.0
"""Per 1,000 lines, of a curve that counts as flat: a thousandth of a megabyte a line."""
SAMPLE_LINES = 50


@dataclass(frozen=True, slots=True)
class Curve:
    """Memory of one system.

    Attributes:
        name: What ran.
        lines: Lines tagged at each sample, 0 first.
        bytes: Resident memory at each sample.
    """

    name: str
    lines: tuple[int, ...]
    bytes: tuple[int, ...]

    @property
    def growth_mb(self) -> float:
        """Megabytes (10^6 bytes) it grows in 1,000 lines, after the first fifth of the lines."""
        pairs = zip(self.lines, self.bytes, strict=True)
        after = [(n, size) for n, size in pairs if n >= self.lines[-1] / 5]
        if len(after) < 2:
            raise ValueError(f"expected two samples after the warm-up, got {len(after)}")
        slope, _ = np.polyfit([n for n, _ in after], [size for _, size in after], 1)
        return float(slope) * 1e3 / 1e6

    @property
    def is_flat(self) -> bool:
        """Whether it does not grow after warm-up; it may shrink."""
        return self.growth_mb <= MAX_GROWTH_MB

    def at(self, num_lines: int) -> int:
        """Return the bytes at the first sample of so many lines or more."""
        pairs = zip(self.lines, self.bytes, strict=True)
        return next((size for n, size in pairs if n >= num_lines), self.bytes[-1])


def follow(
    name: str,
    tag: Callable[[Sequence[str]], object],
    batches: Iterable[Sequence[str]],
    read_bytes: Callable[[], int],
) -> Curve:
    """Tag batch after batch and note the memory, about every `SAMPLE_LINES` lines.

    Args:
        name: Of the curve.
        tag: What is measured.
        batches: What to tag.
        read_bytes: Reads the memory it takes.
    """
    lines, sizes = [0], [read_bytes()]
    num_lines = 0
    for batch in batches:
        tag(batch)
        num_lines += len(batch)
        if num_lines - lines[-1] >= SAMPLE_LINES:
            lines.append(num_lines)
            sizes.append(read_bytes())
    if lines[-1] < num_lines:
        lines.append(num_lines)
        sizes.append(read_bytes())
    return Curve(name, tuple(lines), tuple(sizes))


def resident_bytes() -> int:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
