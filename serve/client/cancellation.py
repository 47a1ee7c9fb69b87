"""Owns whose cancellation a `CancelledError` is: asyncio raises the same one for all of them."""

from __future__ import annotations

import asyncio


def is_asked_to_end() -> bool:
    """Return whether the current task itself was asked to end, not just what it waits for.

    A task that is not may end with a `CancelledError` all the same, but a task group then takes it
    for one that was: its result is missing, and nobody is told.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
