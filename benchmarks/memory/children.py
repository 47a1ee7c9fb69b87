"""Owns fresh processes: starting one for each curve or first answer, and reading what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.memory.curve import Curve
from serve.bundle import Precision
from serve.errors import BundleError


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What a fresh process takes until the first line is tagged.

    Attributes:
        import_s: Importing `serve`, ONNX Runtime included; Python's own start is not in it.
        load_s: Reading, hashing and loading a bundle.
        answer_s: Tagging the first line.
    """

    import_s: float
    load_s: float
    answer_s: float

    @property
    def from_load_s(self) -> float:
        """Bundle load to first answer."""
        return self.load_s + self.answer_s


def curve_of(bundle: Path, precision: Precision, num_lines: int) -> Curve:
    """Return the memory curve of a graph in a process of its own.

    Raises:
        TaggingError: If the bundle cannot be used.
    """
    body = _child("curve", bundle, precision, num_lines)
    return Curve(precision, tuple(body["lines"]), tuple(body["bytes"]))


def first_answer(bundle: Path, precision: Precision) -> FirstAnswer:
    """Return what the first answer of a graph takes in a fresh process.

    Raises:
        TaggingError: If the bundle cannot be used.
    """
    return FirstAnswer(**_child("first", bundle, precision))


def _child(what: str, bundle: Path, precision: Precision, num_lines: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory.child", what, str(bundle), precision]
    done = subprocess.run([*command, str(num_lines)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise BundleError(last.removeprefix("error: "))
    body: dict[str, Any] = json.loads(done.stdout)
    return body
