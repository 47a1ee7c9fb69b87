"""Tests a client beside a server that hangs for a while, neither dead nor alive.

As promised: nothing later than the deadline and 50 ms, the server left out within 1 s, and back
within 2 s of its waking. The servers are stand-ins: a Triton that was stopped can die of waking up,
for its lock on the stub's health has timed out meanwhile; what a supervisor does about that is
tested in `test_supervised`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from serve.client import TritonTagger
from serve.triton.processes import wait_until
from tests.serve.fake_triton import words
from tests.soak.conftest import Soak
from tests.soak.lateness import watching

ROOT = Path(__file__).resolve().parents[2]
NUM_CALLERS = 8
STOPPED_S = 5.0
GRACE_S = 0.05
TEXT = "replace leaking hose on pump"


@dataclass
class Load:
    """Callers that ask without a pause, and what they got.

    Attributes:
        client: Whom they ask.
        expected: The right answer.
        num_right: Answers that were it.
        faults: What went wrong.
        slowest_s: Longest time of a call.
    """

    client: TritonTagger
    expected: object
    num_right: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                fault = "" if self.client.tag([TEXT]) == self.expected else "a wrong answer"
            except Exception as error:  # whatever it is, it is a line lost
                fault = f"{type(error).__name__}: {error}"
            with self.lock:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                self.num_right += not fault
                self.faults += [fault] if fault else []


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Run a server in a process of its own; yield its address and the process."""
    program = (
        "import sys; from tests.serve.fake_triton import fake_triton\n"
        "with fake_triton() as url: print(url, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid


def test_a_stopped_server_loses_no_line_is_left_out_and_comes_back(soak: Soak) -> None:
    gone_s, back_s = [], []
    with (
        server() as (url, pid),
        server() as (other, _),
        TritonTagger([url, other]) as client,
        watching() as late,
    ):
        stopped, _ = client.dispatcher.endpoints
        load = Load(client, [words(TEXT)])
        callers = [threading.Thread(target=load.run) for _ in range(NUM_CALLERS)]
        for caller in callers:
            caller.start()
        try:
            assert wait_until(lambda: load.num_right > 200, timeout_s=10.0)
            for _ in range(soak.size(small=3, large=20)):
                os.kill(pid, signal.SIGSTOP)
                began = time.monotonic()
                try:
                    assert wait_until(lambda: stopped.probe_at is not None, timeout_s=3.0)
                    gone_s.append(time.monotonic() - began)
                    time.sleep(STOPPED_S - gone_s[-1])
                finally:
                    os.kill(pid, signal.SIGCONT)
                began = time.monotonic()
                assert wait_until(lambda: stopped.probe_at is None, timeout_s=5.0)
                back_s.append(time.monotonic() - began)
        finally:
            load.ended.set()
            for caller in callers:
                caller.join()
    soak.record(
        "client sigstop",
        gone_s=gone_s,
        back_s=back_s,
        slowest_ms=load.slowest_s * 1e3,
        machine_late_ms=late.worst_s * 1e3,
    )
    assert load.faults == []
    assert load.slowest_s <= client.policy.deadline_s + GRACE_S + late.allowed_s
    assert max(gone_s) <= 1.0 + late.allowed_s
    assert max(back_s) <= 2.0 + late.allowed_s
    assert load.num_right > 1_000
