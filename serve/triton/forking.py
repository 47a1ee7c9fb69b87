"""Owns whether a process may use gRPC: not one forked while gRPC's asyncio had channels open.

As soon as such a child uses gRPC at all the parent ends with a segmentation fault (grpcio 1.85,
each time within twenty forks). Without asyncio, or after it was closed, nothing of this was seen.
"""

from __future__ import annotations

import os
import weakref

from serve.errors import ServerError

_OPEN: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()
"""What has channels of asyncio, and the process that opened them."""


def note_opened(wire: object) -> None:
    """Take what has opened channels of asyncio."""
    _OPEN[wire] = os.getpid()


def note_closed(wire: object) -> None:
    """Take what has closed them."""
    _OPEN.pop(wire, None)


def check_process() -> None:
    """Refuse a process that gRPC is not fit for.

    Raises:
        ServerError: If it was forked while there were channels of asyncio.
    """
    for process in list(_OPEN.values()):
        if process != os.getpid():
            raise ServerError(
                f"expected a process of its own, got a fork of process {process}, where a client "
                "of asyncio was open, which gRPC does not survive; start processes with "
                'multiprocessing.get_context("spawn"), or fork before the client is used'
            )
