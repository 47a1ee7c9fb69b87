"""Owns which signals end a program, and what it does about them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import FrameType

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
