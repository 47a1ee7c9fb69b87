"""Owns a Triton that writes traces, with the model that notes its spans.

Triton takes the file of its traces on the command line only; a script in place of the server adds
it, so that the server is launched, known and stopped as any other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.path.spans import SPANS, Span
from benchmarks.triton import bring_up
from serve.errors import ServerError
from serve.repository import publish
from serve.triton.ending import take_down
from serve.triton.installation import ENVIRONMENT, Installation
from serve.triton.launch import Order
from serve.triton.listening import choose_ports
from serve.triton.names import MODEL
from serve.versions.folders import MODEL_FILE

_TRACES = "traces.json"
_SCRIPT = """#!/bin/sh
exec '{server}' "$@" --trace-config=triton,file='{traces}' --trace-config=level=TIMESTAMPS \\
    --trace-config=rate=1 --trace-config=count=-1
"""
_MODEL_TEXT = "from benchmarks.path.traced_model import TritonPythonModel\n"

Trace = dict[str, int]
"""Times of one request in Triton, in nanoseconds, by Triton's names."""


@dataclass(frozen=True, slots=True)
class _Traced(Installation):
    """A Triton whose program is a script."""

    script: Path

    @property
    def server(self) -> Path:
        """The program to start."""
        return self.script


@dataclass(frozen=True, slots=True)
class TracedServer:
    """A server that writes traces; they are complete when it was stopped.

    Attributes:
        url: Address of its gRPC.
        process_group: Of its processes, which may be halted.
        folder: Of repository, log and traces.
    """

    url: str
    process_group: int
    folder: Path

    def traces(self) -> list[Trace]:
        """Return the trace of each request, by when it was read.

        Raises:
            ServerError: If there are none.
        """
        by_id: dict[int, Trace] = defaultdict(dict)
        for entry in self._read(_TRACES):
            for mark in entry.get("timestamps", ()):
                by_id[entry["id"]][mark["name"]] = mark["ns"]
        return sorted(by_id.values(), key=lambda trace: trace["GRPC_WAITREAD_END"])

    def spans(self) -> list[Span]:
        """Return the spans of the model, by when they began.

        Raises:
            ServerError: If there are none.
        """
        noted = self._read(f"repository/{MODEL}/{SPANS}")
        return sorted((Span(*span) for span in noted), key=lambda span: span.start_ns)

    def _read(self, name: str) -> Any:  # noqa: ANN401  JSON
        path = self.folder / name
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ServerError(f"{path}: expected what Triton noted, got {error}") from error


@contextmanager
def traced_server(bundle: Path, folder: Path) -> Iterator[TracedServer]:
    """Start a Triton that writes traces; leaving the block stops it.

    Raises:
        TaggingError: If the bundle or Triton is not as expected.
    """
    found = Installation.find(Path(ENVIRONMENT))
    found.place_stub()
    script, repository = folder / "tritonserver", folder / "repository"
    script.write_text(_SCRIPT.format(server=found.server, traces=folder / _TRACES))
    script.chmod(0o755)
    version = publish(bundle, repository)
    (repository / MODEL / str(version) / MODEL_FILE).write_text(_MODEL_TEXT)
    traced = _Traced(
        found.environment, found.root, found.python_version, found.library_folder, script
    )
    state = bring_up(Order(traced, repository, choose_ports(0, http=False)), folder)
    try:
        yield TracedServer(state.url, state.pid, folder)
    finally:
        take_down(folder)
