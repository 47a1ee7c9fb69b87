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
from tempfile import TemporaryFile

import onnxruntime as ort

from serve.bundle import GraphInfo
from serve.errors import TaggingError
from serve.files import locked, write_durably
from serve.records import read_record
from serve.running.cores import num_cores
from serve.running.processor import cpu_field

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
    return min(num_cores(), 4)


def remember(graph: GraphInfo, choice: Threads) -> Path:
    """Keep a choice for this machine; return the file.

    Raises:
        TaggingError: If there is no folder for it.
        OSError: If it cannot be written.
    """
    path = make_folder()
    with locked(path.parent):
        notes = {**_read_notes(path), _key(graph): asdict(choice)}
        write_durably(path, json.dumps(notes, indent=2, sort_keys=True).encode())
    return path


def remembered(graph: GraphInfo) -> Threads | None:
    """Return the choice kept for this machine and graph, if any."""
    path = notes_path()
    if path is None:
        return None
    note = _read_notes(path).get(_key(graph))
    try:
        choice = read_record(Threads, note) if note is not None else None
    except ValueError as error:
        logger.warning("%s: %s; passed over, measure again with python -m serve tune", path, error)
        return None
    if choice and not 1 <= choice.num <= num_cores():
        return None  # measured with more cores than there are now
    return choice


def notes_path() -> Path | None:
    """Return where choices are kept, by the XDG base directory specification; None without a home.

    It says that no relative path counts, which would be another place in every folder.
    """
    caches = (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache"))
    return next((Path(c, "linetag", "threads.json") for c in caches if os.path.isabs(c)), None)


def make_folder() -> Path:
    """Make the folder where choices are kept; return their file.

    Raises:
        TaggingError: If this user has none that can be written to.
    """
    path, remedy = notes_path(), "set XDG_CACHE_HOME to one, here and where the bundle is loaded"
    if path is None:
        raise TaggingError(f"expected a writable folder for the choice, got no home; {remedy}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise TaggingError(
            f"{path.parent}: expected a writable folder, got {error.strerror}; {remedy}"
        ) from error


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
    fields = ("model name", "cpu family", "model")  # a virtual one's name may be "AMD EPYC"
    processor = " ".join(filter(None, map(cpu_field, fields))) or os.uname().machine
    return f"{processor}, {num_cores()} cores, {ort.__version__}, {graph.sha256}"
