"""Owns where the log of what runs for months goes.

All of it goes to a file, JSON lines, put aside when it has grown; warnings and errors also to
standard error, which systemd and containers collect.
"""

from __future__ import annotations

import logging
import select
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from serve.events import JsonFormatter, PrintableFormatter

MAX_BYTES = 5_000_000
NUM_OLD = 3


def journal(path: Path) -> logging.Handler:
    """Return a handler that writes records to a file, of which `NUM_OLD` older ones are kept.

    What a full disk does not take is lost without a word: each record would bring a traceback of
    many lines, and the last one take the place of the error that ends a program.
    """
    handler = _Journal(path, maxBytes=MAX_BYTES, backupCount=NUM_OLD, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    return handler


def console() -> logging.Handler:
    """Return a handler that tells warnings and errors on standard error."""
    handler = _Console()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


class _Console(logging.StreamHandler[TextIO]):
    """Passes over what nobody takes: whoever stands still and reads no more holds up nobody here.

    What is writable takes `PIPE_BUF` bytes without waiting (pipe(7)); the journal has all of it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # a standard error that was closed
            if select.select([], [self.stream], [], 0)[1]:
                super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).encode(errors="replace")
        return line[: select.PIPE_BUF - 1].decode(errors="ignore")


class _Journal(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()
