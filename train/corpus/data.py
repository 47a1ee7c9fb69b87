"""Owns the corpus of a run: its splits read, their labels mapped and checked against each other.

Where there is no dev file, a seeded tenth of the train lines serves; lines of one text stay on one
side. Knows nothing of tokens or models.
"""

from __future__ import annotations

import logging
import random
import shlex
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example, fold
from serve.labels import Tags
from train.config import TrainConfig
from train.corpus.label_map import BY_FILE, check_label_map
from train.corpus.leaks import warn_of_leaks
from train.corpus.splits import find_splits
from train.formats.flat import Reading
from train.formats.registry import read_examples

DEV_SHARE = 0.1
RARE = 20
"""Spans of a label in train below which it is called rare."""
_LONGEST = 500
"""Characters of a message's part that grows with the labels."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Split:
    """A part of the corpus and where each of its lines stands.

    Attributes:
        path: The file, or brat's folder.
        places: Where each example stands, for messages: file and line, or file and JSON path.
        examples: The lines, in the order of the file.
        parts: The splits it was put together from, each with its role; none if it is a file's.
        read_labels: The labels of a file before they were mapped.
    """

    path: Path
    places: tuple[str, ...]
    examples: tuple[Example, ...]
    parts: tuple[tuple[str, Split], ...] = ()
    read_labels: frozenset[str] = frozenset()

    @property
    def labels(self) -> Counter[str]:
        """Number of spans of each label."""
        return Counter(span.label for example in self.examples for span in example.spans)


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a run trains on, chooses by and reports on.

    Attributes:
        train: Lines to train on.
        dev: Lines to choose the best epoch by.
        test: Lines to report on, if any.
        tags: The tags of the labels in the train file, lines held out of it included.
    """

    train: Split
    dev: Split
    test: Split | None
    tags: Tags


def reading_of(config: TrainConfig) -> Reading:
    """Return how a run's settings have its files read."""
    return Reading(**{field.name: getattr(config, field.name) for field in fields(Reading)})


def read_corpus(config: TrainConfig) -> Corpus:
    """Read the splits, map their labels and check them.

    Raises:
        DataError: Naming file and line, if a line is not as expected or has a label that train has
            not; or if a label to map does not occur.
    """
    files = find_splits(config)
    reading = reading_of(config)
    found = {name: read_split(path, reading) for name, path in files._asdict().items() if path}
    every = (label for split in found.values() for label in split.read_labels)
    check_label_map(dict(config.label_map), every)
    train, dev, test = found["train"], found.get("dev"), found.get("test")
    known = train.labels
    if not known:
        raise DataError(
            f"{train.path}: expected labelled spans to train on, got none; label some of its "
            "lines, or name another file"
        )
    if dev and not dev.labels:
        raise DataError(
            f"{dev.path}: expected labelled spans to choose the best epoch by, got none; "
            "label some of its lines, or name another file with --dev"
        )
    check_labels(filter(None, (dev, test)), known, str(train.path))
    if dev is None:
        train, dev = hold_out(train, config.seed)
    num_spans = train.labels
    _warn_of_rare({label: num_spans[label] for label in known})
    warn_of_leaks(train, filter(None, (dev, test)))
    return Corpus(train, dev, test, Tags.from_labels(known))


def read_split(path: Path, reading: Reading = Reading()) -> Split:  # noqa: B008 (frozen)
    """Read one file of any format that `train.formats` knows.

    Raises:
        DataError: Naming file and line, if it is not as expected or holds nothing.
    """
    pairs: list[tuple[str, Example]] = []
    labels: set[str] = set()
    for record, example in read_examples(path, reading):
        pairs.append((record.place, example))
        labels.update(span.label for span in record.spans)
    if not pairs:
        raise DataError(f"{path}: expected labelled lines, got none; name another file")
    places, examples = zip(*pairs, strict=True)
    return Split(path, places, examples, read_labels=frozenset(labels))


def hold_out(train: Split, seed: int) -> tuple[Split, Split]:
    """Return what remains of train and the share of it that serves as dev, said in the log.

    Raises:
        DataError: If train has fewer than two different texts, or one side would have no span.
    """
    keys = [fold(example.text) for example in train.examples]  # twins stay together
    texts = sorted(set(keys))
    if len(texts) < 2:
        raise DataError(f"{train.path}: expected two different lines or more; name a --dev file")
    held = set(random.Random(seed).sample(texts, max(1, round(DEV_SHARE * len(texts)))))
    rest = _pick(train, (key not in held for key in keys))
    dev = _pick(train, (key in held for key in keys))
    if not rest.labels or not dev.labels:
        raise DataError(
            f"{train.path}: expected labelled spans among the {len(dev.examples)} lines held out "
            f"as dev and among the {len(rest.examples)} others, got none on one side; "
            "label more lines, name a --dev file, or choose another --seed"
        )
    logger.warning(
        "warning: no dev file: %d of %d lines of %s serve as dev (seed %d)",
        len(dev.examples),
        len(train.examples),
        train.path,
        seed,
    )
    return rest, dev


def _pick(split: Split, keep: Iterable[bool]) -> Split:
    rows = [row for row, kept in enumerate(keep) if kept]
    places = tuple(split.places[row] for row in rows)
    return replace(split, places=places, examples=tuple(split.examples[row] for row in rows))


def check_labels(splits: Iterable[Split], known: Container[str], owner: str) -> None:
    """Refuse splits with a label that their owner, the train file or a tagger, does not have.

    Raises:
        DataError: Naming all such labels, and file and line of the first.
    """
    places: dict[str, str] = {}
    for split in splits:
        for place, example in zip(split.places, split.examples, strict=True):
            for span in example.spans:
                if span.label not in known:
                    places.setdefault(span.label, place)
    if places:
        (label, place), *others = places.items()
        more = f" and {len(others)} more" if others else ""
        raise DataError(
            f"{place}: expected a label that {owner} has, got {label!r:.{_LONGEST}}{more}; "
            f"{_mapping(list(places))}"
        )


def _mapping(labels: Sequence[str]) -> str:
    """Return how to be rid of labels, in words: as a command where it is short enough."""
    mapped, dropped = (
        shlex.quote(",".join(f"{label}={new}" for label in labels)) for new in ("New", "")
    )
    them = "it" if len(labels) == 1 else "them"
    if len(mapped) > _LONGEST or any("," in label for label in labels):
        return f"map or drop {them} {BY_FILE}, or cut paths with --label-level"
    return f"map or drop {them} with --label-map {mapped} or {dropped}"


def _warn_of_rare(labels: Mapping[str, int]) -> None:
    rare = [f"{label} ({num})" for label, num in sorted(labels.items()) if num < RARE]
    if rare:
        logger.warning(
            "warning: labels with fewer than %d spans in train are hardly learnt: %s; "
            "merge or drop them with --label-map Old=New,Drop=",
            RARE,
            ", ".join(rare),
        )
