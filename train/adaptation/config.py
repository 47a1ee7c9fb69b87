"""Owns every setting of an adaptation and its default, once. The parser reads them from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from train.config import DEFAULT_MODEL, LoopConfig


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(LoopConfig):
    """Settings of one adaptation, beside those of every training.

    A row is a block here, and the score the held-out perplexity, the lower the better.

    Attributes:
        texts: Files of raw lines, a text a line.
        leave_out: Labelled files whose lines are not trained on, as dev and test.
        model: The base model: `DEFAULT_MODEL`, a folder, or a name on the Hugging Face hub.
        output: Folder of the adapted base model.
        epochs: Largest number of passes over the lines; the schedule's length.
        block_tokens: Most tokens of a block, into which lines are packed.
        mask_share: Share of the words that are to be guessed, in (0, 1).
        held_out_share: Share of the lines that perplexity is measured on, in (0, 1).
    """

    texts: tuple[Path, ...]
    leave_out: tuple[Path, ...] = ()
    model: str = DEFAULT_MODEL
    output: Path = Path("build/base")
    epochs: int = 10
    patience: int = 3
    batch_size: int = 16
    block_tokens: int = 128
    mask_share: float = 0.15
    held_out_share: float = 0.05
