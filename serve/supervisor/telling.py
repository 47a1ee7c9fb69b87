"""Owns telling again and again how things are: troubles once, and also on a full disk."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from serve.events import log_event
from serve.supervisor.status import SupervisorStatus, write_status

logger = logging.getLogger(__name__)


class Teller:
    """Writes the status of a folder; a full disk makes it old, and takes no server down."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is written yet."""
        self._folder = folder
        self._is_failing = False

    def tell(self, status: SupervisorStatus) -> None:
        """Write the status if that is possible; log the first failure, and the first success."""
        try:
            write_status(self._folder, status)
        except OSError as error:
            if not self._is_failing:
                fields = {"folder": self._folder, "error": str(error)}
                log_event(logger, logging.ERROR, "status_not_written", **fields)
            self._is_failing = True
            return
        if self._is_failing:
            log_event(logger, logging.INFO, "status_written_again", folder=self._folder)
        self._is_failing = False


class Troubles:
    """What looks at servers met; each is told when it comes, not at each look that it lasts."""

    def __init__(self, event: str, field: str) -> None:
        """Take the event that tells of one, and the field that says whose look met it."""
        self._event, self._field = event, field
        self._lasting: dict[int | str, str] = {}

    @contextlib.contextmanager
    def borne(self, whose: int | str) -> Iterator[None]:
        """Go on after the block, whatever it met: all the rest relies on the next look."""
        try:
            yield
        except Exception as error:
            trouble = str(error) or type(error).__name__
            if trouble != self._lasting.get(whose):
                fields = {self._field: whose, "reason": trouble}
                log_event(logger, logging.ERROR, self._event, **fields)
            self._lasting[whose] = trouble
        else:
            self._lasting.pop(whose, None)
