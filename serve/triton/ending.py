"""Owns what ends: which signals end a program, and taking a Triton down; needs no gRPC.

Nothing here locks the folder; that is for the caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType

from serve.triton.processes import sweep, wait_until
from serve.triton.state import read_state, remove_state

STOP_TIMEOUT_S = 15.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a program: Ctrl-C, a service manager, a closed terminal."""

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handle signals in the block, but for what ends a program and is ignored: as under nohup."""
    wanted = {
        number: handler
        for number, handler in handlers.items()
        if number not in ENDINGS or signal.getsignal(number) is not signal.SIG_IGN
    }
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def interrupting() -> AbstractContextManager[None]:
    """Let whatever ends a program end the block as Ctrl-C does: what is under way is undone.

    A closed terminal sends its signal twice: after the first one, only Ctrl-C ends the undoing.
    """
    return handled(dict.fromkeys(ENDINGS, _interrupt))


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in ENDINGS:
        if other != signal.SIGINT and signal.getsignal(other) is _interrupt:
            signal.signal(other, ignore)
    raise KeyboardInterrupt


def ignore(number: int, frame: FrameType | None) -> None:
    """Go on in spite of a signal, without having whatever is started meanwhile ignore it, too."""


def take_down(folder: Path, *, patiently: bool = True) -> bool:
    """Stop the server noted in a folder and remove whatever is left of it.

    Args:
        folder: Where its state was written.
        patiently: Whether to let it answer what is in flight.

    Returns:
        Whether one was noted, alive or dead.

    Raises:
        ServerError: If the note cannot be read, or a process does not die.
    """
    state = read_state(folder)
    if state is None:
        return False
    if patiently and state.is_running():
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(state.pid, signal.SIGTERM)
            if not wait_until(lambda: not state.is_running(), timeout_s=STOP_TIMEOUT_S):
                os.killpg(state.pid, signal.SIGKILL)
    sweep(state.prefix)
    if state.pid:
        with contextlib.suppress(ChildProcessError):  # not ours, when another process started it
            os.waitpid(state.pid, 0)
    remove_state(folder)
    return True
