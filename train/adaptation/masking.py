"""Owns what a model has to guess: whole words, drawn anew each time a block is trained on.

Of the words drawn, eight in ten are masked, one in ten becomes other tokens and one in ten stays,
as BERT was trained: a model that only ever guessed masks would not read what is not masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from serve.words import NO_WORD
from train.adaptation.blocks import TokenSequence
from train.task.mask import mask_id

MASKED, REPLACED = 0.8, 0.1
"""Shares of the words drawn; the rest stays as it is."""


class MaskedBatch(NamedTuple):
    """Blocks padded to one length, and what is to be guessed in them.

    Attributes:
        input_ids: Shape: (B, T), int64.
        position_ids: From 0 at the beginning of each line. Shape: (B, T), int64.
        attention_mask: Whether token i sees token j: those of one line do. Shape: (B, 1, T, T).
        targets: Positions in the flattened batch that are to be guessed. Shape: (M,), int64.
        target_ids: The tokens that stood there. Shape: (M,), int64.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    targets: Tensor
    target_ids: Tensor

    @property
    def num_trained(self) -> int:
        """Number of tokens to be guessed."""
        return len(self.targets)


class Masker:
    """Makes blocks into batches."""

    def __init__(self, tokenizer: Tokenizer, *, pad_id: int, share: float) -> None:
        """Take the share of words to draw, in (0, 1).

        Raises:
            CheckpointError: If the tokenizer has no mask.
        """
        self._mask_id = mask_id(tokenizer)
        self._num_tokens = tokenizer.get_vocab_size()
        self._pad_id = pad_id
        self._share = share

    def collate(
        self, blocks: Sequence[Sequence[TokenSequence]], generator: torch.Generator | None = None
    ) -> MaskedBatch:
        """Return blocks as a batch, masked with the chance of a generator, or PyTorch's own."""
        shape = (len(blocks), max(sum(len(s.input_ids) for s in block) for block in blocks))
        input_ids, position_ids = torch.full(shape, self._pad_id), torch.zeros(shape).long()
        lines, words = torch.zeros(shape).long(), torch.full(shape, NO_WORD)
        num_words = 0
        for row, block in enumerate(blocks):
            start = 0
            for number, sequence in enumerate(block, start=1):
                here = slice(start, start := start + len(sequence.input_ids))
                input_ids[row, here] = torch.tensor(sequence.input_ids)
                position_ids[row, here] = torch.arange(len(sequence.input_ids))
                lines[row, here] = number
                numbers = _numbered(sequence.word_ids, num_words)
                words[row, here] = torch.tensor(numbers)
                num_words = max(num_words, *numbers) + 1
        sees = lines[:, None, :, None] == lines[:, None, None, :]
        drawn = self._drawn(num_words, generator)
        flat = words.flatten()
        targets = ((flat != NO_WORD) & drawn[flat]).nonzero()[:, 0]
        target_ids = input_ids.flatten()[targets]
        input_ids.view(-1)[targets] = self._hidden(target_ids, flat[targets], num_words, generator)
        return MaskedBatch(input_ids, position_ids, sees, targets, target_ids)

    def _drawn(self, num_words: int, generator: torch.Generator | None) -> Tensor:
        """Return whether each word is to be guessed: one at least. Shape: (W,)."""
        chances = torch.rand(num_words, generator=generator)
        num = max(1, round(self._share * num_words))
        return chances <= chances.kthvalue(num).values

    def _hidden(
        self, ids: Tensor, words: Tensor, num_words: int, generator: torch.Generator | None
    ) -> Tensor:
        """Return what stands in place of the tokens of words. Shape: (M,)."""
        fate = torch.rand(num_words, generator=generator)[words]
        others = torch.randint(self._num_tokens, ids.shape, generator=generator)
        hidden = torch.where(fate < MASKED + REPLACED, others, ids)
        return torch.where(fate < MASKED, torch.tensor(self._mask_id), hidden)


def _numbered(word_ids: Sequence[int], first: int) -> list[int]:
    """Return a sequence's word ids as numbers from `first` on; `NO_WORD` stays."""
    numbers: list[int] = []
    for word, tokens in groupby(word_ids):
        numbers += [NO_WORD if word == NO_WORD else first] * len(list(tokens))
        first += word != NO_WORD
    return numbers
