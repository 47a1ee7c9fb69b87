"""Owns structured logs: one JSON object a line, bounded in size, for machines that run for months.

What a log call gives as `extra` becomes keys beside `time`, `level`, `logger` and `message`:

    logger.info("replica %d is ready", 0, extra={"event": "ready", "replica": 0})
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 5_000_000
NUM_OLD = 3
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = {"time": time, "level": record.levelname.lower(), "logger": record.name}
        extra = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        row = {**facts, "message": record.getMessage(), **extra}
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False, default=str)


def journal(path: Path) -> logging.Handler:
    """Return a handler that writes to a file, which is put aside when it has grown."""
    handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=NUM_OLD, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    return handler
