"""Owns halting the processes of a system while others are measured: even idle ones take time.

A Triton that is halted for a second while it is answering often dies of going on: its Python
backend's waits for the model's process time out, it takes that for dead and frees memory which the
other still writes to. Its last answer is out before its work is done, so it is given time to rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol, runtime_checkable

from serve.entities import AnyTagger

STOP_TIMEOUT_S = 10.0
REST_S = 0.1
"""From the last answer until nothing is under way: in truth some 100 us, on a free machine."""


@runtime_checkable
class Sleeper(Protocol):
    """A system that is halted but for its turn."""

    def alone(self) -> AbstractContextManager[None]:
        """Let it run inside the block only."""
        ...


def awake(system: AnyTagger) -> AbstractContextManager[None]:
    """Keep a system awake that sleeps while others are measured."""
    return system.alone() if isinstance(system, Sleeper) else nullcontext()


def halt(process_group: int) -> None:
    """Halt the processes of a group, once they have had time to rest."""
    time.sleep(REST_S)
    os.killpg(process_group, signal.SIGSTOP)


def resume(process_group: int) -> None:
    """Let the processes of a group run again."""
    os.killpg(process_group, signal.SIGCONT)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that leads a group, halted or not, and wait until it has gone."""
    if process.poll() is None:
        resume(process.pid)  # it must hear the stop
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        # Where a signal's exception struck within its `poll`, the lock of that is never free again.
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)


@contextmanager
def running(process_group: int) -> Iterator[None]:
    """Let a halted group run inside the block only."""
    resume(process_group)
    try:
        yield
    finally:
        halt(process_group)
