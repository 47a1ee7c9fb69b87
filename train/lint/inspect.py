"""Owns the order of a lint: every line of every file once, then the corpus as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.errors import DataError
from train.corpus.label_map import warn_of_label_map
from train.formats.flat import Overlaps, Reading, mapped_spans
from train.formats.record import Record, shown
from train.formats.registry import read_records, settled
from train.formats.schemes import SchemeDetector, violations
from train.formats.words import Words, read_offsets
from train.lint.across import DEV, TRAIN, Memory
from train.lint.figures import Figures
from train.lint.finding import Finding, Rule, Severity, finding
from train.lint.lines import check_line, check_spans


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a lint found.

    Attributes:
        files: What each file holds.
        findings: What is wrong, in the order of the files.
    """

    files: tuple[Figures, ...]
    findings: tuple[Finding, ...]

    def num(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(found.severity is severity for found in self.findings)


def inspect(parts: Mapping[str, Path], reading: Reading, words: Words) -> Inspection:
    """Check the files of a corpus.

    Args:
        parts: File of each part of the corpus; labels are compared with those of `train`.
        reading: How files are read.
        words: What parts two words.
    """
    memory = Memory()
    files: list[Figures] = []
    findings: list[Finding] = []
    read: set[str] = set()
    for part, path in parts.items():
        choices = settled(path, reading)
        files.append(Figures(part, str(path), choices.format or ""))
        lint = _FileLint(files[-1], choices, words, memory, read)
        findings += lint.findings(path)
    findings += _bare(files)
    warn_of_label_map(dict(reading.label_map), read)
    train = next((figures for figures in files if figures.part == TRAIN), None)
    if train:
        findings += memory.check_labels(train.labels)
    return Inspection(tuple(files), tuple(findings))


class _FileLint:
    """The lint of one file, which counts what the file holds and notes its labels on the way."""

    def __init__(
        self,
        figures: Figures,
        choices: Reading,
        words: Words,
        memory: Memory,
        read: set[str],
    ) -> None:
        self._figures = figures
        self._choices = choices
        self._words = words
        self._memory = memory
        self._read = read
        self._tagged: list[tuple[str, Sequence[str]]] = []

    def findings(self, path: Path) -> Iterator[Finding]:
        """Yield all findings of the file by itself and against what was seen before."""
        try:
            for record in read_records(path, self._choices):
                if isinstance(record, DataError):
                    yield _unreadable(record)
                else:
                    yield from self._line(record)
        except DataError as error:  # the file cannot be followed any further
            yield _unreadable(error)
        else:
            if not self._figures.num_lines:
                yield finding(Rule.UNREADABLE, str(path), "expected labelled lines, got none")
        yield from _scheme_findings(self._tagged)

    def _line(self, record: Record) -> Iterator[Finding]:
        self._figures.num_lines += 1
        if record.tags:
            self._tagged.append((record.place, record.tags))
        self._read.update(span.label for span in record.spans)
        spans = mapped_spans(record, self._choices)
        self._memory.note_labels(self._figures, record, spans)
        wrong = list(check_line(record))
        yield from wrong
        if wrong:
            return
        offsets = read_offsets(record.text, self._words)
        self._figures.add(len(offsets), spans)
        yield from check_spans(record, spans, offsets, self._choices.overlaps or Overlaps.REFUSE)
        yield from self._memory.check(self._figures, record, spans)
        if record.is_disputed:
            message = f"{shown(record.text)} has finished annotations that differ; one is taken"
            yield finding(Rule.CONFLICT, record.place, message)


def _bare(files: Sequence[Figures]) -> Iterator[Finding]:
    """Yield the parts that training refuses for want of a span; test may be without."""
    for figures in files:
        if figures.part in (TRAIN, DEV) and figures.num_lines and not figures.labels:
            message = f"expected labelled spans in {figures.part}, got none"
            yield finding(Rule.BARE, figures.path, message)


def _unreadable(error: DataError) -> Finding:
    place, _, message = str(error).partition(": ")
    return finding(Rule.UNREADABLE, place, message)


def _scheme_findings(tagged: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Finding]:
    """Yield the tags of a file that break its scheme, which takes all of them to tell."""
    detector = SchemeDetector()
    for _, tags in tagged:
        for previous, tag in zip(("O", *tags), tags, strict=False):
            detector.see(tag, previous)
    for place, tags in tagged:
        path, _, first = place.rpartition(":")
        for word, message in violations(tags, detector.scheme):
            line = f"{path}:{int(first) + word}"
            yield finding(Rule.SCHEME, line, f"{message} ({detector.scheme})")
