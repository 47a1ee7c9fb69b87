"""Owns the log file of what runs for months: JSON lines, put aside when the file has grown."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from serve.events import JsonFormatter

MAX_BYTES = 5_000_000
NUM_OLD = 3


def journal(path: Path) -> logging.Handler:
    """Return a handler that writes records to a file, of which `NUM_OLD` older ones are kept."""
    handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=NUM_OLD, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    return handler
