"""Owns how events are logged: a name with fields beside it, readable by people and by machines.

A record's message reads `ejected url=127.0.0.1:8001 reason=timeout`; `JsonFormatter` writes the
same record as one JSON object a line, for whoever collects logs:

    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.getLogger("serve").addHandler(handler)
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from serve.display.render import printable_lines


def log_event(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Log an event with its fields; costs next to nothing when the level is off."""
    if logger.isEnabledFor(level):
        shown = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
        logger.log(level, "%s%s", event, shown, extra={"event": event, "fields": fields})


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: `time`, `level`, `logger`, `event` and the fields.

    A record that is no event has its message as `event`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        own = {
            "time": time,
            "level": record.levelname,
            "logger": record.name,
            "event": getattr(record, "event", None) or record.getMessage(),
        }
        row = {**own, **getattr(record, "fields", {}), **own}  # own ones first, and not replaced
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row, default=str)


class PrintableFormatter(logging.Formatter):
    """Shows a message, which may name files of anybody's, so that none steers the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        return printable_lines(super().format(record))


def _shown(value: object) -> str:
    """Return a value as one word: quoted where it has blanks or line ends."""
    text = str(value)
    return text if text and text.isprintable() and " " not in text else json.dumps(text)
