"""Owns having a server load what callers are told to ask for and it lacks.

Whoever takes a step tells the servers of this machine first, see `serve.versions.servers`. From
another container, or another machine with the same disk, nobody can: then what callers ask for is
on the disk, and no server would answer it until it was started anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from threading import Thread

from serve.errors import TaggingError, first_line
from serve.events import log_event
from serve.triton.state import ServerState
from serve.versions.servers import Running

PAUSE_S = 60.0
"""Before a server that could not load a version is told again."""
logger = logging.getLogger(__name__)


def load(state: ServerState) -> None:
    """Have a server load what lies on its disk.

    Raises:
        ServerError: If it does not; it serves what it did.
        OSError: If the disk cannot be read.
    """
    with Running(state) as server:
        server.load()


class Completion:
    """Holds what a server has against what its repository says, and has it load the rest.

    Attributes:
        lacking: The versions that callers ask for and it does not have, as last seen.
    """

    def __init__(self, load: Callable[[ServerState], None] = load) -> None:
        """Take how it is told to load."""
        self.lacking: frozenset[int] = frozenset()
        self._load = load
        self._thread: Thread | None = None
        self._again = 0.0

    def note(
        self, state: ServerState, ready: Collection[str], served: Iterable[int], now: float
    ) -> None:
        """Take which versions the server has, none if it did not say, and which callers ask for."""
        has = {int(version) for version in ready}
        before, self.lacking = self.lacking, frozenset(set(served) - has if has else ())
        # Twice: what was agreed between the one look and the other, it may have by now.
        is_idle = self._thread is None or not self._thread.is_alive()
        if self.lacking & before and is_idle and now >= self._again:
            self._again = now + PAUSE_S
            self._thread = Thread(target=self._complete, args=(state, self.lacking), daemon=True)
            self._thread.start()

    def _complete(self, state: ServerState, lacking: frozenset[int]) -> None:
        fields = {"url": state.url, "versions": sorted(lacking)}
        try:
            self._load(state)
        except (TaggingError, OSError) as error:
            log_event(logger, logging.ERROR, "load_failed", **fields, reason=first_line(error))
        else:
            log_event(logger, logging.WARNING, "loaded_late", **fields)
