"""Owns what is refused before any work is done for it, by client and model alike.

Policy:
* A text of more than `MAX_CHARS` characters never reaches the tokenizer, whose time and memory no
  truncation bounds (seconds and gigabytes for 10 MB). Its length is looked at before anything else,
  so refusing costs the same for any length.
* UTF-8 takes at most four bytes a character: more bytes than that are refused before they are
  decoded.
* Names that end in paths, addresses or metrics hold letters, digits, `_`, `.` and `-` only.
"""

from __future__ import annotations

import re

from serve.errors import DataError, Refusal

MAX_CHARS = 20_000
MAX_TEXT_BYTES = 4 * MAX_CHARS
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_text(text: str, index: int) -> None:
    """Refuse what must not reach the tokenizer.

    Raises:
        DataError: If the text is over `MAX_CHARS` or holds a lone surrogate; naming its index.
    """
    if len(text) > MAX_CHARS:
        raise DataError(
            f"text {index}: expected at most {MAX_CHARS} characters, got {len(text)}; cut it up",
            reason=Refusal.TOO_LONG,
        )
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"text {index}: expected valid Unicode, got a lone surrogate at {error.start}",
                reason=Refusal.NOT_UNICODE,
            ) from error


def decode_text(content: bytes, index: int) -> str:
    """Return the text that bytes from outside hold.

    Raises:
        DataError: If they are more than `MAX_TEXT_BYTES`, not UTF-8, or a text over `MAX_CHARS`;
            naming its index.
    """
    if len(content) > MAX_TEXT_BYTES:
        raise DataError(
            f"text {index}: expected at most {MAX_CHARS} characters, got {len(content)} bytes; "
            "cut it up",
            reason=Refusal.TOO_LONG,
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"text {index}: expected UTF-8, got byte {error.start} that is not",
            reason=Refusal.NOT_UNICODE,
        ) from error
    check_text(text, index)
    return text


def check_name(name: str, what: str) -> str:
    """Return a name that is safe in a path, an address and a metric.

    Args:
        name: What came from outside.
        what: What it names, for the message.

    Raises:
        ValueError: If it is no name.
    """
    if NAME.fullmatch(name):
        return name
    raise ValueError(
        f"expected a {what} of 1 to 64 letters, digits, '_', '.' or '-', got {name!r:.80}"
    )
