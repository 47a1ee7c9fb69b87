"""Owns the order of a drift report: the reference, the new lines, the measures, the verdict.

The reference is what the tagger's checkpoint held out, its dev and test lines: on its train lines
it is surer than it will ever be again. Which of them count, `train.drift.lines` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from serve.bundle import TOKENIZER, Bundle
from serve.errors import CheckpointError
from serve.examples import read_jsonl
from serve.tagger import Tagger
from train.corpus.unknown import unknown_id
from train.drift.chance import Finding, findings
from train.drift.figures import figures, known_of, layout_of, words_of
from train.drift.lines import Compared, compared, once
from train.drift.measures import measures
from train.model.checkpoint import DEV, TEST, TRAIN_LINES
from train.trained.origin import checkpoint_of
from train.trained.tagger import is_bundle, load_tagger

MIN_LINES = 30
"""Lines that either set must have to say anything."""
NUM_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Drift:
    """What new lines are like.

    Attributes:
        num_reference: Held-out lines compared with.
        num_new: New lines compared.
        num_known: New lines left out, since the train or held-out lines have them or they came
            before.
        num_again: Held-out texts left out, since the new lines have them.
        findings: What each measure says; none where there are too few lines.
        unseen_words: The most frequent words that the train lines have not, and how often.
    """

    num_reference: int
    num_new: int
    num_known: int
    num_again: int
    findings: tuple[Finding, ...]
    unseen_words: tuple[tuple[str, int], ...]

    @property
    def is_due(self) -> bool:
        """Whether a refit is due."""
        return any(finding.is_drift for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict in a line."""
        if not self.findings:
            few = f"{self.num_new} lines are new to the tagger"
            if self.num_new >= MIN_LINES:
                few = f"{self.num_reference} held-out lines are not among the new"
            return f"refit is not due: {few}, too few to tell ({MIN_LINES} needed)"
        names = [f.measure for f in self.findings if f.is_drift]
        if not names:
            return "refit is not due: chance explains every difference"
        return f"refit is due: chance does not explain {'; '.join(names)}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {"is_due": self.is_due, "verdict": self.verdict, **asdict(self)}


def assess_drift(reference: Path, lines: Sequence[Path], checkpoint: Path | None = None) -> Drift:
    """Compare new lines with those that a tagger's checkpoint held out.

    Args:
        reference: A checkpoint or a bundle; it tags both.
        lines: Files of text without labels, one text a line.
        checkpoint: What a bundle was exported from; None to find it beside the bundle.

    Raises:
        TaggingError: If the reference or its lines cannot be used, or a new line not be read.
    """
    folder = (
        checkpoint_of(Bundle.load(reference), checkpoint) if is_bundle(reference) else reference
    )
    train, held = _texts(folder, TRAIN_LINES), [*_texts(folder, DEV), *_texts(folder, TEST)]
    reference_texts = once(held, train)
    if len(reference_texts) < MIN_LINES:
        raise CheckpointError(
            f"{folder}: expected {MIN_LINES} dev and test lines or more that train has not, to "
            f"compare with, got {len(reference_texts)}; train the tagger with more"
        )
    sets = compared(reference_texts, train, lines)
    if min(len(sets.held), len(sets.new)) < MIN_LINES:
        return _drift(sets, (), Counter())
    return _assessed(load_tagger(reference).tagger, _unknown(folder), train, sets)


def _assessed(tagger: Tagger, unknown: int | None, train: list[str], sets: Compared) -> Drift:
    known = known_of(tagger.encoder, train, unknown)
    layout = layout_of(tagger, [*sets.held, *sets.new])
    parts = [figures(tagger, texts, known, layout) for texts in (sets.held, sets.new)]
    encoded = tagger.encoder.encode(sets.new)
    words = (w for t, e in zip(sets.new, encoded, strict=True) for w in words_of(t, e.offsets))
    unseen = Counter(word for word in words if word not in known.words)
    found = findings(np.concatenate(parts), len(sets.held), measures(layout))
    return _drift(sets, tuple(found), unseen)


def _drift(sets: Compared, found: tuple[Finding, ...], unseen: Counter[str]) -> Drift:
    return Drift(
        num_reference=len(sets.held),
        num_new=len(sets.new),
        num_known=sets.num_known,
        num_again=sets.num_again,
        findings=found,
        unseen_words=tuple(unseen.most_common(NUM_SHOWN)),
    )


def _texts(folder: Path, name: str) -> list[str]:
    path = folder / name
    if name == TEST and not path.is_file():
        return []
    if not path.is_file():
        raise CheckpointError(
            f"{path}: expected the tagger's {path.stem} lines, got none; give a checkpoint that "
            "python -m train wrote, or a bundle and its --checkpoint"
        )
    return [example.text for example in read_jsonl(path)]


def _unknown(folder: Path) -> int | None:
    return unknown_id(Tokenizer.from_file(str(folder / TOKENIZER)))
