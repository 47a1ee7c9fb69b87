"""Owns halting the processes of a system while others are measured: even idle ones take time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, runtime_checkable

from serve.entities import AnyTagger


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
    """Halt the processes of a group."""
    os.killpg(process_group, signal.SIGSTOP)


def resume(process_group: int) -> None:
    """Let the processes of a group run again."""
    os.killpg(process_group, signal.SIGCONT)


@contextmanager
def running(process_group: int) -> Iterator[None]:
    """Let a halted group run inside the block only."""
    resume(process_group)
    try:
        yield
    finally:
        halt(process_group)
