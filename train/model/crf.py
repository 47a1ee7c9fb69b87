"""Owns a linear-chain CRF in training: the likelihood of gold tags among all sequences.

What may not follow each other never does, here as in `serve.decode.decoder`, so that no likelihood
goes to sequences that decoding rules out. A window that begins inside an entity is no error: how a
chain begins is learnt, not ruled.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from serve.decode.decoder import allowed_transitions
from serve.decode.decoding import MAX_WEIGHT, Decoding
from serve.labels import Tags
from train.task.collate import IGNORE_INDEX

_FORBIDDEN = -1e4
"""Far below any sum of logits, and finite: the gradient of infinities is no number."""


class Crf(nn.Module):
    """Weights of tags following each other, beginning and ending a sequence."""

    _penalty: Tensor

    def __init__(self, tags: Tags) -> None:
        """Begin with weights of 0."""
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(len(tags), len(tags)))
        self.start = nn.Parameter(torch.zeros(len(tags)))
        self.end = nn.Parameter(torch.zeros(len(tags)))
        forbidden = torch.from_numpy(~allowed_transitions(tags))
        self.register_buffer("_penalty", forbidden * _FORBIDDEN, persistent=False)

    def forward(self, logits: Tensor, tag_ids: Tensor) -> Tensor:
        """Return the log-likelihood of the tags, summed over the sequences.

        Args:
            logits: Shape: (B, T, L), float32.
            tag_ids: Gold tag of each word at its first token, `IGNORE_INDEX` elsewhere; a row may
                have none. Shape: (B, T)
        """
        is_word = tag_ids != IGNORE_INDEX
        num_words = is_word.sum(dim=1)
        longest = int(num_words.max())
        # The words of each row side by side, in order: stable, they come before what is no word.
        order = (~is_word).byte().argsort(dim=1, stable=True)[:, :longest]
        words = logits.take_along_dim(order[..., None], dim=1)
        gold = tag_ids.take_along_dim(order, dim=1).clamp(min=0)
        seen = torch.arange(longest, device=logits.device) < num_words[:, None]
        return (self._weight(words, gold, seen) - self._total(words, seen)).sum()

    def keep(self, base: Decoding, rows: Mapping[int, int]) -> None:
        """Begin with another chain's weights between tags that both have.

        Args:
            base: The other's.
            rows: The number of each such tag, and its number there.
        """
        new, old = torch.tensor([*rows]), torch.tensor([*rows.values()])
        start, end, *transitions = torch.tensor([base.start, base.end, *base.transitions]).float()
        with torch.no_grad():
            self.transitions[new[:, None], new] = torch.stack(transitions)[old[:, None], old]
            self.start[new], self.end[new] = start[old], end[old]

    def decoding(self) -> Decoding:
        """Return the weights as serving reads them."""
        start, end, *transitions = (
            tuple(row)
            for row in torch.stack([self.start, self.end, *self.transitions])
            .detach().clamp(-MAX_WEIGHT, MAX_WEIGHT).cpu().tolist()
        )  # fmt: skip
        return Decoding(constrained=True, transitions=tuple(transitions), start=start, end=end)

    def _weight(self, words: Tensor, gold: Tensor, seen: Tensor) -> Tensor:
        """Return the weight of the gold tags of each row. Shape: (B,)."""
        steps = self.transitions + self._penalty
        emitted = words.take_along_dim(gold[..., None], dim=2)[..., 0] * seen
        followed = steps[gold[:, :-1], gold[:, 1:]] * seen[:, 1:]
        last = gold.take_along_dim((seen.sum(dim=1, keepdim=True) - 1).clamp(min=0), dim=1)[:, 0]
        ends = (self.start[gold[:, 0]] + self.end[last]) * seen[:, 0]
        return emitted.sum(dim=1) + followed.sum(dim=1) + ends

    def _total(self, words: Tensor, seen: Tensor) -> Tensor:
        """Return the logarithm of all sequences' summed weights in each row. Shape: (B,)."""
        steps = self.transitions + self._penalty
        total = self.start + words[:, 0]
        for word in range(1, words.shape[1]):
            reached = (total[:, :, None] + steps).logsumexp(dim=1) + words[:, word]
            total = torch.where(seen[:, word, None], reached, total)
        return (total + self.end).logsumexp(dim=1) * seen[:, 0]
