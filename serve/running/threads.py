"""Owns how many threads a graph gets on a CPU, and whether they spin while they wait.

The best choice is the machine's: cores, caches and neighbours decide. `python -m serve tune`
measures it; what it finds is kept per machine, graph and ONNX Runtime, and `Tagger.load` goes by
it. It changes speed only, never an answer, so a note that is missing or damaged is passed over.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import onnxruntime as ort

from serve.bundle import GraphInfo
from serve.files import locked, write_durably
from serve.records import read_record

logger = logging.getLogger(__name__)

MAX_THREADS = 256
"""More than a graph has a use for; some thousands would only wait for one another."""


@dataclass(frozen=True, slots=True)
class Threads:
    """How a session uses a CPU.

    Attributes:
        num: Threads inside an operator.
        spin: Whether they spin while they wait, which is faster, and takes a core from others.
    """

    num: int
    spin: bool = True


def default_num_threads() -> int:
    """Return one thread per available core, at most 4: short lines do not feed more."""
    return min(len(os.sched_getaffinity(0)), 4)


def remember(graph: GraphInfo, choice: Threads) -> Path:
    """Keep a choice for this machine; return the file.

    Raises:
        OSError: If it cannot be written.
    """
    path = notes_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        notes = {**_read_notes(path), _key(graph): asdict(choice)}
        write_durably(path, json.dumps(notes, indent=2, sort_keys=True).encode())
    return path


def remembered(graph: GraphInfo) -> Threads | None:
    """Return the choice kept for this machine and graph, if any."""
    path = notes_path()
    note = _read_notes(path).get(_key(graph))
    try:
        choice = read_record(Threads, note) if note is not None else None
    except ValueError as error:
        logger.warning("%s: %s; passed over, measure again with python -m serve tune", path, error)
        return None
    if choice and not 1 <= choice.num <= len(os.sched_getaffinity(0)):
        return None  # measured with more cores than there are now
    return choice


def notes_path() -> Path:
    """Return where choices are kept, by the XDG base directory specification."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "linetag" / "threads.json"


def _read_notes(path: Path) -> dict[str, object]:
    try:
        notes = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s: %s; passed over, measure again with python -m serve tune", path, error)
        return {}
    return notes if isinstance(notes, dict) else {}


def _key(graph: GraphInfo) -> str:
    """Return what a choice holds for: the processor, its cores, ONNX Runtime, the graph."""
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {ort.__version__}, {graph.sha256}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return os.uname().machine
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, os.uname().machine)
