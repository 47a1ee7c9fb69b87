"""Owns the writing of brat's stand-off form: documents of 100 lines each, and their settings.

A line end within a text becomes a blank, since brat cuts texts there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from serve.examples import Example
from serve.files import replacing
from train.corpus.label_map import BY_FILE
from train.flags.new_folder import check_new
from train.formats.words import Writing

LINES_A_DOCUMENT = 100
"""A longer text is slow to show in brat."""
CONFIGURATION = "annotation.conf"
_LINE_ENDS = str.maketrans("\r\n", "  ")
_TYPE = re.compile(r"[A-Za-z0-9_-]+")  # brat replaces other characters by underscores


def write(path: Path, examples: Iterable[Example], _: Writing) -> None:
    """Write texts that are not blank as a new folder of documents, whole or not at all.

    Raises:
        DataError: If the folder holds something.
        ValueError: If a label is no name for a type in brat.
    """
    check_new(path)
    lines = (_checked(example) for example in examples)
    labels: set[str] = set()
    with replacing(path) as folder:
        number = 0
        while document := list(islice(lines, LINES_A_DOCUMENT)):
            number += 1
            _write_document(folder / f"{number:04}", document)
            labels.update(span.label for example in document for span in example.spans)
        entities = "\n".join(sorted(labels))
        sections = f"[entities]\n{entities}\n\n[relations]\n\n[events]\n\n[attributes]\n"
        (folder / CONFIGURATION).write_text(sections, encoding="utf-8")


def _checked(example: Example) -> Example:
    for span in example.spans:
        if not _TYPE.fullmatch(span.label):
            by_flag = f"with --label-map {shlex.quote(f'{span.label}=New')}"
            raise ValueError(
                "expected a label of letters a to z, digits, _ and - for brat, got "
                f"{span.label!r}; rename it {BY_FILE if ',' in span.label else by_flag}"
            )
    return example


def _write_document(stem: Path, examples: Iterable[Example]) -> None:
    texts: list[str] = []
    annotations: list[str] = []
    offset = 0
    for example in examples:
        text = example.text.translate(_LINE_ENDS)
        for span in example.spans:
            place = f"{offset + span.start} {offset + span.end}"
            quoted = text[span.start : span.end]
            annotations.append(f"T{len(annotations) + 1}\t{span.label} {place}\t{quoted}\n")
        texts.append(text + "\n")
        offset += len(text) + 1
    stem.with_suffix(".txt").write_text("".join(texts), encoding="utf-8", newline="\n")
    stem.with_suffix(".ann").write_text("".join(annotations), encoding="utf-8", newline="\n")
