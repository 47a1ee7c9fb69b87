"""Owns an interruption that waits until what is under way belongs together again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
