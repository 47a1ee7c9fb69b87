"""Owns the order of a drift report: the reference, the new lines, the measures, the verdict.

The reference is what the tagger's checkpoint held out, its dev and test lines: on its train lines
it is surer than it will ever be again. Of either set each text counts once, and not at all where
the train lines have it: a work order that comes every week says nothing of what is new.
"""

from __future__ import annotations

import random
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
from train.distillation.unlabelled import key_of, read_unlabelled
from train.drift.chance import Finding, findings
from train.drift.figures import figures, known_of, layout_of, words_of
from train.drift.measures import measures
from train.model.checkpoint import DEV, TEST, TRAIN_LINES
from train.trained.origin import checkpoint_of
from train.trained.tagger import is_bundle, load_tagger

MIN_LINES = 30
"""Lines that either set must have to say anything."""
MAX_LINES = 2000
"""Most lines of either set that are compared, drawn at random: bounds time and memory."""
NUM_SHOWN = 10
_SEED = 1


@dataclass(frozen=True, slots=True)
class Drift:
    """What new lines are like.

    Attributes:
        num_reference: Held-out lines compared with.
        num_new: New lines compared.
        num_known: New lines left out, since the train or held-out lines have them or they came
            before.
        findings: What each measure says; none where there are too few lines.
        unseen_words: The most frequent words that the train lines have not, and how often.
    """

    num_reference: int
    num_new: int
    num_known: int
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
            return (
                f"refit is not due: {self.num_new} lines are new to the tagger, "
                f"too few to tell ({MIN_LINES} needed)"
            )
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
    old = _drawn(list(_once(held, train)))
    new = read_unlabelled(lines, held=held, known=train, most=MAX_LINES, seed=_SEED)
    num_known = new.num_held + new.num_known
    if len(old) < MIN_LINES:
        raise CheckpointError(
            f"{folder}: expected {MIN_LINES} dev and test lines or more that train has not, to "
            f"compare with, got {len(old)}; train the tagger with more"
        )
    if len(new.texts) < MIN_LINES:
        return Drift(len(old), len(new.texts), num_known, (), ())
    tagger = load_tagger(reference).tagger
    return _compared(tagger, _unknown(folder), train, old, new.texts, num_known)


def _compared(
    tagger: Tagger,
    unknown: int | None,
    train: list[str],
    old: list[str],
    new: list[str],
    num_known: int,
) -> Drift:
    known = known_of(tagger.encoder, train, unknown)
    layout = layout_of(tagger, [*old, *new])
    lines = np.concatenate([figures(tagger, texts, known, layout) for texts in (old, new)])
    encoded = tagger.encoder.encode(new)
    words = (w for t, e in zip(new, encoded, strict=True) for w in words_of(t, e.offsets))
    unseen = Counter(word for word in words if word not in known.words)
    return Drift(
        num_reference=len(old),
        num_new=len(new),
        num_known=num_known,
        findings=tuple(findings(lines, len(old), measures(layout))),
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


def _once(texts: Sequence[str], train: Sequence[str]) -> dict[str, None]:
    """Return texts that train has not, each once, as keys."""
    known = set(map(key_of, train))
    by_key = {key_of(text): text for text in texts}
    return dict.fromkeys(text for key, text in by_key.items() if key and key not in known)


def _drawn(texts: list[str]) -> list[str]:
    return random.Random(_SEED).sample(texts, MAX_LINES) if len(texts) > MAX_LINES else texts


def _unknown(folder: Path) -> int | None:
    return unknown_id(Tokenizer.from_file(str(folder / TOKENIZER)))
