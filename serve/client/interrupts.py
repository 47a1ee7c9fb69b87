"""Owns what gRPC leaves behind in a thread whose call was interrupted.

A signal may raise in the middle of a call: Ctrl-C, a notebook's stop button, a job's time limit.
gRPC's lock of a channel is a Condition, whose `with` runs Python at both ends; what is raised there
leaves it locked, and from then on calls of all other threads wait, whatever their deadline.
"""

from __future__ import annotations

import contextlib
import threading
import traceback

_ENDS = (threading.Condition.__enter__.__code__, threading.Condition.__exit__.__code__)


def unlock(error: BaseException) -> None:
    """Release each lock at whose `with` an error was raised, as far as this thread still has it.

    Args:
        error: What came out of a call: none of its locks is needed any more.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code in _ENDS:
            with contextlib.suppress(RuntimeError):  # it was released, or not yet taken
                frame.f_locals["self"].release()
