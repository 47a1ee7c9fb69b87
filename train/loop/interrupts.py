"""Owns interruptions: one that waits for what belongs together, and how a run goes on after one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from serve.errors import TaggingError
from train.config import state_path


@contextmanager
def held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block; a second one does not wait.

    Raises:
        KeyboardInterrupt: After the block, if it was pressed meanwhile.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else decides what it does
        return
    num_asked = 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal num_asked
        num_asked += 1
        if num_asked > 1:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if num_asked:
        raise KeyboardInterrupt


@contextmanager
def going_on(output: Path, *, resume: bool) -> Iterator[None]:
    """Say of a run that is interrupted in the block how it goes on.

    A state that was there before is this run's only if it goes on with it.

    Args:
        output: Where the run writes.
        resume: Whether it goes on with another.

    Raises:
        TaggingError: If the run is interrupted.
    """
    before = _state_of(output)
    try:
        yield
    except KeyboardInterrupt:
        state = _state_of(output)
        is_left = state is not None and (resume or state != before)
        remedy = "go on with --resume" if is_left else "nothing was saved yet, so start anew"
        raise TaggingError(f"interrupted; {remedy}") from None


def _state_of(output: Path) -> tuple[int, int] | None:
    """Return what tells the state of a run from another in its place; None if there is none."""
    try:
        found = state_path(output).stat()
    except (OSError, ValueError):  # an output without a name is refused where it is used
        return None
    return found.st_ino, found.st_mtime_ns
