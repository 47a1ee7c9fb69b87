"""Owns the peer that needs a Python of its own: optimum's pipeline in a process that is asked.

Its environment is made by `make .venv-optimum/ready`: optimum has no release for the transformers
used here. The process times itself (`peer_worker`) and is halted while others are measured.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from benchmarks.facts import Facts
from benchmarks.halting import end, halt, running
from benchmarks.precision import precision_of
from serve.entities import Entity
from serve.errors import TaggingError

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-optimum" / "bin" / "python"
REMEDY = "make .venv-optimum/ready, or measure with --no-optimum"


class Peer:
    """Optimum's pipeline on its own export of a checkpoint, FP32, asked over a pipe."""

    def __init__(self, worker: subprocess.Popen[str], log: Path, task: dict[str, Any]) -> None:
        """Take a worker, hand it its task, wait until it has loaded, and halt it.

        Args:
            worker: Runs `benchmarks.peer_worker` in a process group of its own.
            log: What it prints.
            task: The checkpoint, the folder for its export, the lines.

        Raises:
            TaggingError: If it ends instead of answering; the message has the end of its log.
        """
        self._worker = worker
        self._log = log
        loaded = self._ask(task)
        versions = ", ".join(f"{name} {number}" for name, number in loaded["versions"].items())
        self.facts = Facts(
            "optimum pipeline",
            f"ORTModelForTokenClassification on its own export; {versions}",
            precision_of((Path(task["folder"]) / "model.onnx").read_bytes()),
            loaded["provider"],
            loaded["batch_size"],
        )
        halt(worker.pid)

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text."""
        answers = self._ask({"call": "tag", "lines": list(texts)})
        return [[Entity(*entity) for entity in answer] for answer in answers]

    def time_lines(self, lines: Sequence[str]) -> tuple[float, ...]:
        """Return the seconds each line takes by itself, by the worker's clock."""
        return tuple(self._ask({"call": "time_lines", "lines": list(lines)}))

    def time_all(self, lines: Sequence[str]) -> float:
        """Return the seconds all lines take together, by the worker's clock."""
        return float(self._ask({"call": "time_all", "lines": list(lines)}))

    def alone(self) -> AbstractContextManager[None]:
        """Let the worker run inside the block only."""
        return running(self._worker.pid)

    def _ask(self, request: dict[str, Any]) -> Any:  # noqa: ANN401  # what JSON holds
        try:
            _pipe(self._worker.stdin).write(json.dumps(request) + "\n")
            _pipe(self._worker.stdin).flush()
            return json.loads(_pipe(self._worker.stdout).readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            lines = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise TaggingError(
                f"optimum's worker: expected an answer, got {lines[-1]}; {REMEDY}"
            ) from error


@contextmanager
def open_peer(checkpoint: Path, lines: Sequence[str], *, python: Path = PYTHON) -> Iterator[Peer]:
    """Start optimum's pipeline; leaving the block ends it.

    Args:
        checkpoint: The checkpoint it exports and runs.
        lines: Lines to find its best batch size on.
        python: The Python of an environment with optimum.

    Raises:
        TaggingError: If there is no such Python, or it does not answer.
    """
    if not python.is_file():
        raise TaggingError(f"{python}: expected optimum's environment, got none; {REMEDY}")
    with TemporaryDirectory(prefix="linetag-optimum-") as folder:
        task = {"checkpoint": str(checkpoint.resolve()), "folder": folder, "lines": list(lines)}
        log = Path(folder) / "worker.log"
        with log.open("w") as messages, _started(python, messages) as worker:
            yield Peer(worker, log, task)


@contextmanager
def _started(python: Path, messages: IO[str]) -> Iterator[subprocess.Popen[str]]:
    worker = subprocess.Popen(
        [str(python), "-m", "benchmarks.peer_worker"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=messages,
        text=True,
        # Its own group, to be halted; in our session, so that the system ends it if we are killed.
        process_group=0,
    )
    try:
        yield worker
    finally:
        end(worker)
        with suppress(BrokenPipeError):
            _pipe(worker.stdin).close()
        _pipe(worker.stdout).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("expected a worker with pipes")
    return pipe
