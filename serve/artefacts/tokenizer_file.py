"""Owns the way from a `tokenizer.json` that is not trusted to a tokenizer.

The Rust code of tokenizers panics at some contents, which arrives as no `Exception`, and of a table
of characters (SentencePiece's) it believes the length and sets that much memory aside.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from tokenizers import Tokenizer

_CHARACTERS = "precompiled_charsmap"
_LENGTH_BYTES = 4
"""Of the number at the table's beginning, the lower bytes first: how long its first part is."""


def read_tokenizer(content: bytes) -> Tokenizer:
    """Return the tokenizer that a `tokenizer.json` says.

    Raises:
        Exception: Of whatever class, if it says none.
    """
    text = content.decode()
    json.loads(text, object_pairs_hook=_check_characters)
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        if is_panic(error):
            raise ValueError(str(error)) from error
        raise


def is_panic(error: BaseException) -> bool:
    """Return whether an error is a panic of the Rust code, whose class cannot be imported."""
    return type(error).__name__ == "PanicException"


def _check_characters(pairs: Iterable[tuple[str, object]]) -> None:
    """Refuse an object of JSON whose table of characters is shorter than it says."""
    for key, value in pairs:
        if key != _CHARACTERS or not isinstance(value, str):
            continue
        table = base64.b64decode(value)
        size = int.from_bytes(table[:_LENGTH_BYTES], "little")
        if size > len(table) - _LENGTH_BYTES:
            raise ValueError(f"{_CHARACTERS} of {len(table):,} bytes that says {size:,}")
