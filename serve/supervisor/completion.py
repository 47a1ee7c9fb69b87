"""Owns having a server load what callers are told to ask for and it lacks, and drop the rest.

Whoever takes a step tells the servers of this machine first, see `serve.versions.servers`. From
another container, or another machine with the same disk, nobody can: then what callers ask for is
on the disk, and no server would answer it until it was started anew. And a step that was killed
leaves servers with a version that nobody agreed on, which Triton gives to whoever names none.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from threading import Thread

from serve.errors import TaggingError, first_line
from serve.events import log_event
from serve.files import locked
from serve.triton.state import ServerState
from serve.versions.servers import Running
from serve.versions.settling import settle_locked

PAUSE_S = 60.0
"""Before a server is told again to drop versions, or to load those it was told to load last."""
SURPLUS_S = 10.0
"""How long a server may have a version that callers do not ask for: steps take it away sooner."""
logger = logging.getLogger(__name__)


def load(state: ServerState) -> None:
    """Have a server load what lies on its disk.

    Raises:
        ServerError: If it does not; it serves what it did.
        OSError: If the disk cannot be read.
    """
    with Running(state) as server:
        server.load()


def tidy(state: ServerState) -> None:
    """Undo what a step that died left in a repository, and have a server drop it.

    Raises:
        BlockingIOError: If a step is under way.
        ServerError: If it does not; it serves what it did.
        OSError: If the disk cannot be read, or written.
    """
    repository = Path(state.repository)
    with locked(repository, wait=False):
        settle_locked(repository)
        with Running(state) as server:
            server.unload()


class Completion:
    """Holds what a server has against what its repository says, and has it load or drop the rest.

    Attributes:
        lacking: The versions that callers ask for and it does not have, as last seen.
    """

    def __init__(
        self,
        load: Callable[[ServerState], None] = load,
        tidy: Callable[[ServerState], None] = tidy,
    ) -> None:
        """Take how it is told to load, and to drop."""
        self.lacking: frozenset[int] = frozenset()
        self._load, self._tidy = load, tidy
        self._no_surplus = math.inf
        self._thread: Thread | None = None
        self._again, self._told_to_load = 0.0, frozenset[int]()

    def note(
        self, state: ServerState, ready: Collection[str], served: Iterable[int], now: float
    ) -> None:
        """Take which versions the server has, none if it did not say, and which callers ask for."""
        has, asked = {int(version) for version in ready}, set(served)
        before, self.lacking = self.lacking, frozenset(asked - has if has else ())
        surplus = has - asked if asked else set[int]()
        self._no_surplus = min(self._no_surplus, now) if surplus else now
        is_told = self.lacking <= self._told_to_load
        if (is_told and now < self._again) or (self._thread and self._thread.is_alive()):
            return
        # Twice: what was agreed between the one look and the other, it may have by now.
        if self.lacking & before:
            self._told_to_load = self.lacking
            self._begin("load", self._load, state, self.lacking, now)
        elif now - self._no_surplus >= SURPLUS_S:
            self._begin("unload", self._tidy, state, surplus, now)

    def _begin(
        self,
        what: str,
        act: Callable[[ServerState], None],
        state: ServerState,
        versions: Collection[int],
        now: float,
    ) -> None:
        self._again = now + PAUSE_S
        fields = {"url": state.url, "versions": sorted(versions)}
        self._thread = Thread(target=_act, args=(what, act, state, fields), daemon=True)
        self._thread.start()


def _act(
    what: str, act: Callable[[ServerState], None], state: ServerState, fields: dict[str, object]
) -> None:
    try:
        act(state)
    except BlockingIOError:  # a step is under way, and tells the servers itself
        pass
    except (TaggingError, OSError) as error:
        log_event(logger, logging.ERROR, f"{what}_failed", **fields, reason=first_line(error))
    else:
        log_event(logger, logging.WARNING, f"{what}ed_late", **fields)
