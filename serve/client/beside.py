"""Owns what a client sends beside its requests, and whether all of it has been heard of.

gRPC does not survive a fork with calls under way: the child aborts or hangs. Who forks can see that
no request is; of what goes beside them it knows nothing. So a fork waits for it, for a moment.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable

from serve.client.steps import Outcome

_FORK_WAITS_S = 0.5
_POLL_S = 0.001


class Beside:
    """What was sent and not heard of yet; several threads may use it at once."""

    def __init__(self, *, is_waited_for: bool) -> None:
        """Begin with nothing.

        Args:
            is_waited_for: Whether a fork waits; in vain where it is the forking thread that hears.
        """
        self._until: dict[object, float] = {}
        if is_waited_for:
            _WAITED_FOR.add(self)

    def heard(self, then: Callable[[Outcome], None], timeout_s: float) -> Callable[[Outcome], None]:
        """Return who takes what comes of a call that begins now, and notes that it came.

        Args:
            then: Who takes it.
            timeout_s: Of the call, before which some may wait. One that was interrupted as it was
                sent is never heard of, and counts until four times that long.
        """
        call, now = object(), time.monotonic()
        for lost in [key for key, until in list(self._until.items()) if until < now]:
            self._until.pop(lost, None)
        self._until[call] = now + 4 * timeout_s

        def take(outcome: Outcome) -> None:
            self._until.pop(call, None)
            then(outcome)

        return take

    def forked(self) -> None:
        """Take that this is a fork's child: what was not heard of by now never is."""
        now = time.monotonic()
        self._until = {call: math.inf for call, until in self._until.items() if until >= now}

    def is_idle(self) -> bool:
        """Return whether all of it was heard of."""
        now = time.monotonic()
        return all(until < now for until in list(self._until.values()))


_WAITED_FOR: weakref.WeakSet[Beside] = weakref.WeakSet()


def _before_fork() -> None:
    deadline = time.monotonic() + _FORK_WAITS_S
    while not all(beside.is_idle() for beside in list(_WAITED_FOR)):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)


def _in_child() -> None:
    for beside in list(_WAITED_FOR):
        beside.forked()


os.register_at_fork(before=_before_fork, after_in_child=_in_child)
