"""Owns word dropout: some words of a line are hidden from the model while it trains on their tags.

What stands around a word then has to tell its tag, which unknown and misspelt words ask for in
production. Each word is hidden by itself, all its tokens at once, anew each time a line is read.
Measured on mwo2kg, see benchmarks/results/accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from tokenizers import Tokenizer

from serve.encoding import Window
from serve.words import NO_WORD
from train.task.mask import mask_id

Hide = Callable[[Window], Window]


def word_dropout(share: float, tokenizer: Tokenizer) -> Hide:
    """Return what hides about a share of a window's words; draws from PyTorch's generator.

    Args:
        share: In [0, 1).
        tokenizer: The base model's; its mask token takes the place of what is hidden.

    Raises:
        CheckpointError: If words are to be hidden and the tokenizer has no mask token.
    """
    if share == 0.0:
        return lambda window: window
    mask = mask_id(tokenizer)

    def hide(window: Window) -> Window:
        words = sorted(set(window.word_ids) - {NO_WORD})
        draws = torch.rand(len(words)).tolist()
        hidden = {word for word, draw in zip(words, draws, strict=True) if draw < share}
        pairs = zip(window.input_ids, window.word_ids, strict=True)
        ids = [mask if word in hidden else token for token, word in pairs]
        return replace(window, input_ids=ids)

    return hide
