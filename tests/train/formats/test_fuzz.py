"""Tests that any bytes give examples or a DataError that names the file, and a lint findings."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serve.errors import DataError
from serve.examples import Example, Span
from train.formats.flat import Overlaps, Reading
from train.formats.registry import FORMATS, read_examples, write_examples
from train.formats.words import Words, Writing
from train.lint.inspect import inspect
from train.lint.page import inspection_page
from train.lint.text import inspection_text

LINES = [
    Example("fix hose", (Span(0, 3, "Act"), Span(4, 8, "Item"))),
    Example("é 🔧 leak", (Span(4, 8, "Obs"),)),
]
KEYS = (
    "text", "spans", "label", "labels", "entities", "tokens", "start", "end", "type", "data",
    "annotations", "result", "value", "was_cancelled", "updated_at", "answer", "start_offset",
    "end_offset", "relations",
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.integers(-(10**30), 10**30)
    | st.sampled_from(["fix hose", "Act", "", "accept", "\ud800", "x" * 20_001, "a\x1bb"])
    | st.text(max_size=5)
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)
SPAN = st.fixed_dictionaries({"start": SCALARS, "end": SCALARS, "label": SCALARS, "type": SCALARS})
RESULT = st.fixed_dictionaries(
    {"value": st.fixed_dictionaries({"start": st.integers(-2, 12), "end": st.integers(-2, 12),
     "labels": st.lists(st.text(max_size=3), max_size=3) | JSON, "text": SCALARS}) | JSON}
)  # fmt: skip
ROWS = {
    "jsonl": st.fixed_dictionaries({"text": SCALARS, "spans": st.lists(SPAN | JSON, max_size=4)}),
    "doccano": st.fixed_dictionaries({"text": SCALARS, "label": st.lists(st.tuples(SCALARS,
               SCALARS, SCALARS) | JSON, max_size=4)}),
    "label-studio": st.fixed_dictionaries({"data": st.fixed_dictionaries({"text": SCALARS}),
                    "annotations": st.lists(st.fixed_dictionaries({"result": st.lists(RESULT,
                    max_size=3)}) | JSON, max_size=3)}),
    "maintie": st.fixed_dictionaries({"tokens": st.lists(SCALARS, max_size=5) | JSON,
               "entities": st.lists(SPAN | JSON, max_size=4)}),
}  # fmt: skip


def read(files: dict[str, bytes], reading: Reading) -> None:
    """Read and lint what these files hold; what is wrong is a DataError that names a file."""
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        path = Path(folder) if len(files) > 1 else Path(folder) / next(iter(files))
        refusal = None
        try:
            for record, found in read_examples(path, reading):
                assert isinstance(found, Example)
                assert record.place.startswith(folder)
        except DataError as error:
            refusal = str(error)
        assert refusal is None or refusal.startswith(folder)
        lint = inspect({"train": path}, reading, Words.PUNCTUATION)
        assert inspection_text(lint)
        assert inspection_page(lint).encode()


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """Return strategies for a file some of whose bytes were replaced."""
    places = st.integers(0, len(content))
    pieces = st.binary(max_size=6) | st.sampled_from(
        [b"\t", b"\n", b" ", b"-1", b"9" * 5000, b"\xff", b"\xed\xa0\x80", b'"', b"[", b"]", b"{",
         b"}", b",", b"\r", b"\x00", b"T1\tA 0 9", b"B-", b"E-", b"M-", b"W-", b"null",
         b"\xe2\x80\xa8", b"\xef\xbb\xbf"]
    )  # fmt: skip
    cuts = st.lists(st.tuples(places, places, pieces), min_size=1, max_size=4)
    return cuts.map(lambda drawn: _spliced(content, drawn))


def _spliced(content: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for start, end, piece in cuts:
        content = content[: min(start, end)] + piece + content[max(start, end, 0) :][:500]
    return content


def written(name: str) -> dict[str, bytes]:
    """Return the files of a small corpus in a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        write_examples(path, name, [("in", line) for line in LINES], Writing())
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return {file.name: file.read_bytes() for file in files if file.suffix != ".conf"}


READINGS = st.builds(
    Reading,
    format=st.none(),
    label_level=st.sampled_from([None, 0, 1]),
    overlaps=st.sampled_from([None, *Overlaps]),
)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"brat"}))
@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=60))
@example(content=b"[" * 100_000)
@example(content=b"[" + b"9" * 5000)
@example(content=b'{"a":' * 100_000)
@example(content=b"\xef\xbb\xbf")
@example(content=b"\x00")
def test_any_bytes_are_read_or_refused(name: str, content: bytes) -> None:
    read({"lines": content}, Reading(format=name))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"brat"}))
@settings(deadline=None, max_examples=100)
@given(data=st.data(), reading=READINGS, named=st.booleans())
def test_a_damaged_file_is_read_or_refused(
    name: str, data: st.DataObject, reading: Reading, named: bool
) -> None:
    ((_, content),) = written(name).items()
    chosen = Reading(
        format=name if named else None,
        label_level=reading.label_level,
        overlaps=reading.overlaps,
    )
    read({"lines": data.draw(mutated(content))}, chosen)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), reading=READINGS)
def test_damaged_brat_documents_are_read_or_refused(data: st.DataObject, reading: Reading) -> None:
    files = written("brat")
    files = {name: data.draw(mutated(content) | st.binary(max_size=40) | st.just(content))
             for name, content in files.items()}  # fmt: skip
    read(files, reading)


@pytest.mark.parametrize("name", ROWS)
@settings(deadline=None, max_examples=100)
@given(data=st.data(), is_array=st.booleans(), reading=READINGS)
def test_any_json_in_a_formats_words_is_read_or_refused(
    name: str, data: st.DataObject, is_array: bool, reading: Reading
) -> None:
    rows = data.draw(st.lists(ROWS[name] | JSON, max_size=3))
    content = json.dumps(rows) if is_array else "\n".join(map(json.dumps, rows))
    chosen = Reading(format=name, label_level=reading.label_level, overlaps=reading.overlaps)
    read({"lines.json": content.encode()}, chosen)
