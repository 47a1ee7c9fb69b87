"""Owns the new lines of a refit: found, linted, what fails set aside, and their parts.

A line with an error of `train check` (unreadable, spans off their text, overlapping, off words'
borders) is set aside: it would teach wrong borders. More than a tenth of such lines is no slip any
more, and all are refused. Where there is no dev or test file, seeded shares of the train lines
serve, lines of one text on one side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example, fold
from serve.labels import Tags
from train.config import TrainConfig
from train.corpus.data import Split, check_labels, reading_of
from train.corpus.label_map import warn_of_label_map
from train.corpus.partition import PARTS, part_by_group
from train.corpus.splits import parts_of
from train.formats.flat import Dropped, Overlaps, Reading, flat_example, mapped_spans
from train.formats.record import Record
from train.formats.registry import read_records, settled
from train.formats.words import Words, read_offsets
from train.lint.finding import MEANING, Finding, Rule, Severity, finding
from train.lint.lines import check_line, check_spans

SHARES = {"dev": 0.1, "test": 0.2}
"""Of the train lines, for a part that has no file. Test has more: the decision hangs on it."""
MAX_SET_ASIDE = 0.1
"""Largest share of the lines that may have errors."""


@dataclass(frozen=True, slots=True)
class Line:
    """A new labelled line.

    Attributes:
        place: Where it stands.
        example: The line.
        source: Which of the folders and files named it comes from.
        file: The file, or brat's folder, it was read from.
    """

    place: str
    example: Example
    source: Path
    file: Path


@dataclass(frozen=True, slots=True)
class Intake:
    """The new lines.

    Attributes:
        files: What was read.
        parts: The lines of train, dev and test.
        set_aside: An error of each line that was left out.
    """

    files: tuple[Path, ...]
    parts: dict[str, list[Line]]
    set_aside: tuple[Finding, ...]

    def slices(self) -> dict[Path, list[Line]]:
        """Return all lines of each folder or file."""
        every = [line for lines in self.parts.values() for line in lines]
        return {
            source: [line for line in every if line.source == source]
            for source in dict.fromkeys(line.source for line in every)
        }


def read_new(paths: tuple[Path, ...], config: TrainConfig, tags: Tags) -> Intake:
    """Read the new lines.

    Args:
        paths: Folders of splits, files, and brat's folders.
        config: Says how they are read, mapped and parted.
        tags: The champion's.

    Raises:
        DataError: Naming file and line, if a file cannot be followed, too many lines have errors,
            or a label is not the champion's.
    """
    parts: dict[str, list[Line]] = {part: [] for part in PARTS}
    files: list[Path] = []
    wrong: list[Finding] = []
    labels: set[str] = set()
    for path in paths:
        found = parts_of(path, "train")
        read = {part: _read(file, path, config, wrong, labels) for part, file in found.items()}
        files += found.values()
        for part, lines in _parted(read, config.seed).items():
            parts[part] += lines
    num = sum(map(len, parts.values()))
    if len(wrong) > MAX_SET_ASIDE * (num + len(wrong)):
        raise DataError(
            f"{wrong[0].place}: {MEANING[wrong[0].rule]}: {wrong[0].message} (the first of "
            f"{len(wrong)} lines with errors; "
            f"expected at most {MAX_SET_ASIDE:.0%} of {num + len(wrong)}); "
            f"mend what python -m train check {paths[0]} finds"
        )
    warn_of_label_map(dict(config.label_map), labels)
    check_labels(
        (split_of(files[0], lines) for lines in parts.values()), tags.labels, "the champion"
    )
    return Intake(tuple(files), parts, tuple(wrong))


def split_of(path: Path, lines: list[Line]) -> Split:
    """Return lines as a split that is said to come from a file."""
    return Split(path, tuple(line.place for line in lines), tuple(line.example for line in lines))


def _read(
    path: Path, source: Path, config: TrainConfig, wrong: list[Finding], labels: set[str]
) -> list[Line]:
    """Return a file's lines without errors.

    One error of each other, and the labels before they are mapped, go to those found so far.
    """
    reading = reading_of(config)
    choices, dropped = settled(path, reading), Dropped()
    lines: list[Line] = []
    for record in read_records(path, choices):
        if error := next(_errors(record, choices), None):
            wrong.append(error)
        elif isinstance(record, Record):
            lines.append(Line(record.place, flat_example(record, choices), source, path))
            dropped.note(record, lines[-1].example, choices)
            labels.update(span.label for span in record.spans)
    dropped.warn(path)
    return lines


def _errors(record: Record | DataError, choices: Reading) -> Iterator[Finding]:
    if isinstance(record, DataError):
        place, _, message = str(record).partition(": ")
        yield finding(Rule.UNREADABLE, place, message)
        return
    spans = mapped_spans(record, choices)
    yield from check_line(record)
    offsets = read_offsets(record.text, Words.PUNCTUATION)
    found = check_spans(record, spans, offsets, choices.overlaps or Overlaps.REFUSE)
    yield from (f for f in found if f.severity is Severity.ERROR)


def _parted(read: Mapping[str, list[Line]], seed: int) -> dict[str, list[Line]]:
    """Return the parts, those without a file taken out of train."""
    shares = {part: share for part, share in SHARES.items() if part not in read}
    shares = {"train": 1 - sum(shares.values()), **shares}
    texts = [fold(line.example.text) for line in read["train"]]
    by_text = part_by_group(texts, shares, seed)
    parts: dict[str, list[Line]] = {part: list(read.get(part, ())) for part in PARTS}
    parts["train"] = []
    for text, line in zip(texts, read["train"], strict=True):
        parts[by_text[text]].append(line)
    return parts
