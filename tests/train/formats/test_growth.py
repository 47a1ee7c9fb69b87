"""Tests that reading takes time in proportion to a file's size, and memory that does not grow.

Time is the processor's, of one process, the least of several runs in turn, and only its growth
counts: from one size to eight times as much it may grow 24-fold, where a quadratic reader takes 64
times, so that either side has a margin of almost three for the machine's other work.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.examples import Example, Span
from train.formats.flat import Overlaps, Reading
from train.formats.registry import FORMATS, read_examples, write_examples
from train.formats.words import Words, Writing
from train.lint.inspect import inspect

NUM_LINES = 300
LINE = Example("replace worn hydraulic hose on left boom", (Span(0, 7, "A"), Span(13, 27, "I")))


def corpus(folder: Path, name: str, num_lines: int) -> Path:
    path = folder / f"{name}-{num_lines}"
    lines = (("in", Example(f"{LINE.text} {i}", LINE.spans)) for i in range(num_lines))
    write_examples(path, name, lines, Writing())
    return path


def grows_in_proportion(run: Callable[[Path], object], small: Path, large: Path) -> bool:
    """Tell whether eight times as much takes less than 24 times as long."""
    least = {small: 1e9, large: 1e9}
    gc.disable()
    try:
        for _ in range(9):
            for path in least:
                started = time.process_time()
                run(path)
                least[path] = min(least[path], time.process_time() - started)
            if least[large] < 16 * least[small]:  # clear enough
                break
    finally:
        gc.enable()
    return least[large] < 24 * least[small]


def consume(path: Path, reading: Reading) -> int:
    return sum(1 for _ in read_examples(path, reading))


@pytest.mark.parametrize("name", FORMATS)
def test_reading_a_larger_file_takes_time_in_proportion(tmp_path: Path, name: str) -> None:
    small, large = (corpus(tmp_path, name, num * NUM_LINES) for num in (1, 8))
    reading = Reading(format=name)
    assert consume(large, reading) == 8 * NUM_LINES
    assert grows_in_proportion(lambda path: consume(path, reading), small, large)


HARD: dict[str, tuple[str, Callable[[int], str]]] = {
    "one array of one line": ("jsonl", lambda n: json.dumps([{"text": "a b", "spans": []}] * n)),
    "one long text": ("jsonl", lambda n: json.dumps({"text": "ab " * n, "spans": []})),
    "an array that never closes": ("jsonl", lambda n: '[{"text": "' + "ab " * n),
    "an array of brackets": ("jsonl", lambda n: "[" * n),
    "many spans of a line": (
        "jsonl",
        lambda n: json.dumps({"text": "a " * 9_000, "spans": [[2 * i % 9_000, 2 * i % 9_000 + 1 + i
                             % 5, "A"] for i in range(n)]}),
    ),
    "quotes that never fit": (
        "label-studio",
        lambda n: json.dumps([{"data": {"text": "🔧" * n}, "annotations": [{"result": [{"value":
                             {"start": 2, "end": 4, "text": "🔧", "labels": ["A"]}}] * n}]}]),
    ),
    "one long sentence": ("conll", lambda n: "a B-A\n" * n),
    "one long word": ("conll", lambda n: "a" * n + " B-A\n"),
    "many columns": ("conll", lambda n: "a " * n),
    "many tokens": (
        "maintie",
        lambda n: json.dumps([{"tokens": ["a"] * n, "entities": [{"start": i, "end": i + 1, "type":
                             "A/B"} for i in range(n)]}]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARD)
def test_hard_files_take_time_in_proportion_too(tmp_path: Path, kind: str) -> None:
    name, content = HARD[kind]
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text(content(2_500), encoding="utf-8")
    large.write_text(content(20_000), encoding="utf-8")
    reading = Reading(format=name, overlaps=Overlaps.LONGEST)

    def lint(path: Path) -> None:
        inspect({"train": path}, reading, Words.PUNCTUATION)

    assert grows_in_proportion(lint, small, large)


def test_a_document_with_many_entities_takes_time_in_proportion(tmp_path: Path) -> None:
    def folder(num: int) -> Path:
        path = tmp_path / str(num)
        path.mkdir()
        (path / "a.txt").write_text("a b\n" * num)
        lines = (f"T{i}\tA {4 * i} {4 * i + 1};{4 * i + 2} {4 * i + 3}\ta b" for i in range(num))
        (path / "a.ann").write_text("\n".join(lines))
        return path

    small, large = folder(500), folder(4_000)
    assert consume(small, Reading()) == 500
    assert grows_in_proportion(lambda path: consume(path, Reading()), small, large)


def peak_bytes(path: Path, name: str) -> int:
    tracemalloc.start()
    try:
        for _ in read_examples(path, Reading(format=name)):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FORMATS)
def test_reading_a_larger_file_takes_no_more_memory(tmp_path: Path, name: str) -> None:
    small, large = (corpus(tmp_path, name, num * NUM_LINES) for num in (1, 8))
    peak_bytes(small, name)  # what is imported and compiled on first use
    # The pieces of an array are read 65,536 characters at a time, so a small file fits into one.
    assert peak_bytes(large, name) < peak_bytes(small, name) + 500_000
