"""Owns the champion of a refit: the bundle that serves, its checkpoint, and their lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serve.artefacts.pretrained import WEIGHTS
from serve.bundle import Bundle, sha256
from serve.errors import CheckpointError
from serve.examples import Example, read_jsonl
from train.config import Decoder
from train.model.checkpoint import DEV, TEST, TRAIN_LINES
from train.trained.model import Trained, load_trained
from train.trained.origin import checkpoint_of


@dataclass(frozen=True, slots=True, eq=False)
class Champion:
    """A tagger that serves.

    Attributes:
        bundle: What serves.
        checkpoint: What it was exported from.
        weights_sha256: Of the checkpoint.
        trained: The checkpoint in memory.
        train: The lines it was trained on.
        dev: The lines it was chosen by.
        test: The lines it was reported on.
    """

    bundle: Bundle
    checkpoint: Path
    weights_sha256: str
    trained: Trained
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]

    @property
    def decoder(self) -> Decoder:
        """How its logits become tags, by the name that training has for it."""
        decoding = self.trained.decoding
        if decoding.transitions:
            return Decoder.CRF
        return Decoder.CONSTRAINED if decoding.constrained else Decoder.PLAIN


def find_champion(folder: Path, checkpoint: Path | None = None) -> Champion:
    """Load a champion.

    Args:
        folder: Its bundle.
        checkpoint: What that was exported from; None to find it beside the bundle.

    Raises:
        BundleError: If the bundle is missing or damaged.
        CheckpointError: If the checkpoint is missing, another one, or lacks its lines.
    """
    bundle = Bundle.load(folder)
    found = checkpoint_of(bundle, checkpoint)
    train, dev, test = (_lines(found / name) for name in (TRAIN_LINES, DEV, TEST))
    return Champion(
        bundle=bundle,
        checkpoint=found,
        weights_sha256=sha256((found / WEIGHTS).read_bytes()),
        trained=load_trained(found),
        train=train,
        dev=dev,
        test=test,
    )


def _lines(path: Path) -> tuple[Example, ...]:
    lines = tuple(read_jsonl(path)) if path.is_file() else ()
    if not lines:
        raise CheckpointError(
            f"{path}: expected the champion's lines, to learn and test again, got none; train it "
            "with python -m train on train, dev and test lines"
        )
    return lines
