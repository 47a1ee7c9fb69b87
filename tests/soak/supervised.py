"""A supervisor with two replicas in a process of its own, and callers who pause for no fault."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from serve.client import TritonTagger
from serve.entities import AnyTagger, Entity
from serve.errors import TaggingError
from serve.supervisor.patience import Patience
from serve.supervisor.status import ReplicaStatus, read_status
from serve.triton.processes import processes_of, shared_memory_of, wait_until
from serve.triton.state import ServerState, read_state
from tests.serve.naming import processes_naming
from tests.soak.lateness import watching

ROOT = Path(__file__).resolve().parents[2]
NUM_CALLERS = 8
_START_S = _STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervisor that runs `python -m serve start` in a project folder of its own."""

    project: Path
    urls: list[str]

    @property
    def folder(self) -> Path:
        return self.project / "build" / "triton"

    def replica(self, number: int) -> ReplicaStatus:
        status = read_status(self.folder)
        assert status is not None
        return status.replicas[number]

    def state(self, number: int) -> ServerState:
        """Return what to know a replica's processes by."""
        state = read_state(self.folder / f"replica-{number}")
        assert state is not None
        return state

    def stub(self, number: int) -> int:
        """Return the process of a replica's model."""
        state = self.state(number)
        (stub,) = set(processes_of(state.prefix)) - {state.pid}
        return stub

    def until_back(self, number: int, before: ServerState, *, timeout_s: float) -> float:
        """Wait until a replica is ready as another process; return how long that took.

        Nothing of the process before it may be left then.
        """
        began = time.monotonic()
        wait_until(lambda: self._is_back(number, before), timeout_s=timeout_s)
        taken_s = time.monotonic() - began
        assert self._is_back(number, before), f"not back in {timeout_s} s: {self.replica(number)}"
        assert processes_of(before.prefix) == []
        assert shared_memory_of(before.prefix) == []
        return taken_s

    def until_stable(self) -> None:
        """Wait until no replica would be blamed for ending: one that worked starts again at once.

        The pauses after failures in a row are tested with the state machine that makes them.
        """
        assert wait_until(lambda: all(map(self._is_stable, range(len(self.urls)))), timeout_s=60.0)

    def _is_stable(self, number: int) -> bool:
        replica = self.replica(number)
        ready_for = datetime.now(UTC) - datetime.fromisoformat(replica.since)
        return replica.is_ready and ready_for.total_seconds() > Patience.stable_s

    def _is_back(self, number: int, before: ServerState) -> bool:
        replica = self.replica(number)
        return replica.is_ready and replica.pid != before.pid


@contextmanager
def supervised(repository: Path, environment: Path, project: Path) -> Iterator[Supervised]:
    """Start two replicas; end them, and see to it that nothing of them is left."""
    places = [f"--repository={repository}", f"--triton={environment}"]
    process = serve("start", "--replicas=2", *places, project=project)
    try:
        assert process.stdout is not None
        urls = process.stdout.readline().strip().split(",")
        assert len(urls) == 2, process.communicate(timeout=_START_S)
        yield Supervised(project, urls)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=_STOP_S)
    assert process.returncode == 0, errors
    assert processes_naming(repository) == []


def serve(*arguments: str, project: Path) -> subprocess.Popen[str]:
    """Run a verb of `python -m serve` in a project folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "serve", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(slots=True, eq=False)
class Callers:
    """What callers saw.

    Attributes:
        durations_s: Time of each call, answered or not.
        lost: What calls that got no answer were told.
        wrong: Texts whose answer was not the embedded tagger's.
        late_s: How late the machine was by itself.
        allowed_s: What a bound on time has to allow for that.
    """

    durations_s: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    late_s: float = 0.0
    allowed_s: float = 0.0

    def slowest_s(self, since: int = 0) -> float:
        """Return the time of the slowest call, of those after the first `since`."""
        return max(self.durations_s[since:])


@contextmanager
def calling(tagger: TritonTagger, truth: AnyTagger, texts: Sequence[str]) -> Iterator[Callers]:
    """Let callers ask line after line, all the time; whatever they see is noted."""
    seen, is_over = Callers(), threading.Event()
    right = dict(zip(texts, truth.tag(texts), strict=True))

    def call(first: int) -> None:
        number = first
        while not is_over.is_set():
            number += NUM_CALLERS
            _ask(tagger, texts[number % len(texts)], right, seen)

    threads = [threading.Thread(target=call, args=(first,)) for first in range(NUM_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        with watching() as late:
            yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        seen.late_s, seen.allowed_s = late.worst_s, late.allowed_s


def _ask(tagger: TritonTagger, text: str, right: dict[str, list[Entity]], seen: Callers) -> None:
    began = time.perf_counter()
    try:
        (entities,) = tagger.tag([text])
        if entities != right[text]:
            seen.wrong.append(text)
    except TaggingError as error:
        seen.lost.append(str(error))
    seen.durations_s.append(time.perf_counter() - began)


@contextmanager
def events() -> Iterator[list[tuple[float, str, str]]]:
    """Collect the client's events: time, name, endpoint."""
    seen: list[tuple[float, str, str]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = getattr(record, "fields", {})
            event = getattr(record, "event", "")
            seen.append((time.monotonic(), event, str(fields.get("url", ""))))

    client, handler = logging.getLogger("serve.client"), Collector()
    before = client.level
    client.addHandler(handler)
    client.setLevel(logging.INFO)
    try:
        yield seen
    finally:
        client.setLevel(before)
        client.removeHandler(handler)
