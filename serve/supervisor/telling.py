"""Owns telling how things are again and again, also while the disk takes nothing."""

from __future__ import annotations

import logging
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
