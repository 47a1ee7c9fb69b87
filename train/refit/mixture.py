"""Owns what a challenger learns from: new lines and some old ones, and no line of any test.

Replay, unless told otherwise: all old train lines, up to 5,000 drawn at random. Without them a
tagger forgets what the new lines do not show: tried once on mwo2kg, with 500 of 1,319 old lines
beside 138 new ones it lost 2.3 points on the old test (p 0.01), with all 0.8 (p 0.37). The bound is
for time: five epochs of 2,943 short lines took 45 s on two cores.

Texts count as equal that differ in case and blanks only. What becomes of a line by where else its
text stands:

    line        its text stands in   what becomes of it
    old test    old train, old dev   left out: the champion knows it or was chosen by it, and the
                                     challenger will be, so it tests neither
    old train   old dev, fair test   left out; the fair test is what is left of the old one
    new test    any old line         left out: champion or challenger have learnt from it
    new dev     that, or new test    left out: or were chosen by it
    new train   any dev or test      left out: it would leak
    old train   old train            stays: it is learnt as often as it is there
    new train   old train            stays, and the new labels count: old lines labelled otherwise
                                     go, of those labelled alike one goes for each new one

The last keeps a line as often as it is there in whichever of the two has it more often: what is
common stays common, and what an export brings again each month does not add up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example, fold
from serve.labels import Tags
from train.corpus.data import Corpus, Split
from train.model.checkpoint import DEV, TEST, TRAIN_LINES
from train.refit.champion import Champion
from train.refit.intake import Intake, Line, split_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many lines went where.

    Attributes:
        num_new_train: New lines to train on.
        num_new_dev: New dev lines, used beside the old.
        num_new_test: New test lines.
        num_old_train: Old train lines there are.
        num_replay: Those of them that are trained on again.
        num_left_out: New lines left out, as they would leak or were known.
        num_old_test: Old test lines that are tested on again.
        num_old_test_left_out: Those left out, as the champion was trained on their text or
            chosen by it.
        num_repeated: New train lines whose text is an old train line's.
        num_conflicts: Those of them that no old train line is labelled like.
    """

    num_new_train: int
    num_new_dev: int
    num_new_test: int
    num_old_train: int
    num_replay: int
    num_left_out: int
    num_old_test: int
    num_old_test_left_out: int
    num_repeated: int
    num_conflicts: int


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a challenger is made and judged by.

    Attributes:
        corpus: What it is trained on, and the dev lines it is chosen by, old and new.
        pool: All train lines, old and new: what the next refit may draw from.
        old_test: The champion's test lines, as far as it was neither trained on their texts nor
            chosen by them.
        new_test: The new ones.
        test: Both.
        counts: How many lines went where.
    """

    corpus: Corpus
    pool: tuple[Example, ...]
    old_test: Split
    new_test: Split
    test: Split
    counts: Counts


def mix(champion: Champion, new: Intake, *, replay: int, seed: int) -> Mixture:
    """Put old and new lines together.

    Args:
        champion: Its lines are the old ones.
        new: The new ones.
        replay: Most old train lines.
        seed: Of the draw.

    Raises:
        DataError: If there is no new line to train on, or no new or no old one to test on.
    """
    fair_test = _fair_test(champion)
    held_texts = _texts(fair_test) | _texts(champion.dev)
    old = tuple(e for e in champion.train if fold(e.text) not in held_texts)
    taken = _taken(new, held_texts, _texts(old))
    train = taken["train"]
    kept = _kept(old, train)
    replayed = _drawn(kept, replay, seed)
    if not any(example.spans for example in (*(line.example for line in train), *replayed)):
        raise DataError(f"{new.files[0]}: expected labelled spans to train on, got none")
    folder = champion.checkpoint
    old_train = _old(folder / TRAIN_LINES, replayed, "replay")
    old_dev = _old(folder / DEV, champion.dev, "old dev")
    old_test = _old(folder / TEST, fair_test, "old test")
    return Mixture(
        corpus=Corpus(
            train=_joined(new.files[0], train, old_train, "replay"),
            dev=_joined(folder / DEV, taken["dev"], old_dev, "old"),
            test=None,
            tags=Tags.from_labels(champion.trained.tags.labels),
        ),
        pool=(*kept, *(line.example for line in train)),
        old_test=old_test,
        new_test=split_of(new.files[0], taken["test"]),
        test=_joined(folder / TEST, taken["test"], old_test, "old"),
        counts=_counts(champion, new, old, taken, len(fair_test), len(replayed)),
    )


def _fair_test(champion: Champion) -> tuple[Example, ...]:
    """Return the champion's test lines that it was neither trained on nor chosen by."""
    known = _texts(champion.train) | _texts(champion.dev)
    fair = tuple(example for example in champion.test if fold(example.text) not in known)
    if not fair:
        raise DataError(
            f"{champion.checkpoint / TEST}: expected test lines that the champion was neither "
            f"trained on nor chosen by, got none of {len(champion.test)}; train it again on train "
            "and dev lines without them"
        )
    return fair


def _taken(new: Intake, held_texts: set[str], old_texts: set[str]) -> dict[str, list[Line]]:
    """Return the new lines of each part that leak nothing, by part."""
    known = held_texts | old_texts
    test = _without(new.parts["test"], known)
    dev = _without(new.parts["dev"], known | _keys(test))
    train = _without(new.parts["train"], held_texts | _keys(test) | _keys(dev))
    _check(new, train, test)
    return {"train": train, "dev": dev, "test": test}


def _kept(old: tuple[Example, ...], train: list[Line]) -> list[Example]:
    """Return the old train lines that stay beside the new ones."""
    renewed, again = _keys(train), Counter(_labelled(line.example) for line in train)
    kept: list[Example] = []
    for example in old:
        labelled = _labelled(example)
        if again[labelled]:
            again[labelled] -= 1  # the new one stands for it
        elif labelled in again or fold(example.text) not in renewed:
            kept.append(example)
    return kept


def _counts(
    champion: Champion,
    new: Intake,
    old: tuple[Example, ...],
    taken: Mapping[str, Sequence[Line]],
    num_fair: int,
    num_replay: int,
) -> Counts:
    old_texts, old_labelled = _texts(old), {_labelled(example) for example in old}
    repeated = [line.example for line in taken["train"] if fold(line.example.text) in old_texts]
    num_new = {part: len(lines) for part, lines in taken.items()}
    return Counts(
        num_new_train=num_new["train"],
        num_new_dev=num_new["dev"],
        num_new_test=num_new["test"],
        num_old_train=len(champion.train),
        num_replay=num_replay,
        num_left_out=sum(map(len, new.parts.values())) - sum(num_new.values()),
        num_old_test=num_fair,
        num_old_test_left_out=len(champion.test) - num_fair,
        num_repeated=len(repeated),
        num_conflicts=sum(_labelled(example) not in old_labelled for example in repeated),
    )


def _check(new: Intake, train: list[Line], test: list[Line]) -> None:
    for part, lines in (("train", train), ("test", test)):
        if not lines:
            known = new.parts[part]
            file, num = known[0].file if known else new.files[0], len(known)
            raise DataError(
                f"{file}: expected new {part} lines that are in no other part, new or old, "
                f"got none of {num}; give more lines with --new"
            )


def _drawn(examples: list[Example], num: int, seed: int) -> tuple[Example, ...]:
    if len(examples) <= num:
        return tuple(examples)
    return tuple(random.Random(seed).sample(examples, num))


def _old(path: Path, examples: tuple[Example, ...], name: str) -> Split:
    return Split(path, tuple(f"{name}:{i}" for i in range(1, len(examples) + 1)), examples)


def _joined(path: Path, lines: list[Line], old: Split, role: str) -> Split:
    """Return new lines and old ones as a split that still tells which file each comes from."""
    files = dict.fromkeys(line.file for line in lines)
    new = [split_of(file, [line for line in lines if line.file == file]) for file in files]
    parts = [*(("new", part) for part in new), *([(role, old)] if old.examples else [])]
    places = (place for _, part in parts for place in part.places)
    examples = (example for _, part in parts for example in part.examples)
    return Split(path, tuple(places), tuple(examples), tuple(parts))


def _texts(examples: tuple[Example, ...]) -> set[str]:
    return {fold(example.text) for example in examples}


def _keys(lines: list[Line]) -> set[str]:
    return {fold(line.example.text) for line in lines}


def _without(lines: list[Line], texts: set[str]) -> list[Line]:
    return [line for line in lines if fold(line.example.text) not in texts]


def _labelled(example: Example) -> tuple[str, ...]:
    """Return what lines have in common that are labelled alike, whatever their case and blanks."""
    text = example.text
    parts = ((fold(text[span.start : span.end]), span.label) for span in example.spans)
    return (fold(text), *chain.from_iterable(parts))
