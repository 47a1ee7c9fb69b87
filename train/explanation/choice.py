"""Owns the choice that is explained: what speaks for an entity's tags and against all others.

It is the log odds of the tags, `logit - log(sum(exp(other logits)))`, averaged over the entity's
words: 0 where tag and rest are even, and free of the ceiling that a probability has. Of an entity
that is read from two windows of a long line, the words of the first window count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from serve.encoding import EncodedText, Window
from serve.entities import Entity
from serve.labels import Tags

Odds = Callable[[Tensor, Tensor], Tensor]
"""From input_ids and attention_mask, (B, T) each, to the log odds of a choice, (B,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Tags that a model chose.

    Attributes:
        window: What it read.
        tokens: Where each of the entity's words begins in it. Shape: (K,)
        tag_ids: Tag of each. Shape: (K,)
    """

    window: Window
    tokens: tuple[int, ...]
    tag_ids: tuple[int, ...]


def choice_of(entity: Entity, text: EncodedText, word_tags: Sequence[str], tags: Tags) -> Choice:
    """Return the choice behind an entity.

    Args:
        entity: One of the text's.
        text: The text.
        word_tags: Tag of each of its words. Shape: (W,)
        tags: The model's.
    """
    starts = [start for start, _ in text.offsets]
    first = starts.index(entity.start)
    last = max(word for word, (_, end) in enumerate(text.offsets) if end <= entity.end)
    window = next(w for w in text.windows if first < w.first_word + len(w.first_tokens))
    words = range(first, min(last + 1, window.first_word + len(window.first_tokens)))
    return Choice(
        window,
        tuple(window.first_tokens[word - window.first_word] for word in words),
        tuple(tags.id_of(word_tags[word]) for word in words),
    )


def log_odds(model: nn.Module, choice: Choice) -> Odds:
    """Return the function whose value is to be explained."""
    tokens, tag_ids = list(choice.tokens), torch.tensor(choice.tag_ids)

    def odds(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, tokens]
        chosen = nn.functional.one_hot(tag_ids, logits.shape[-1]).bool().to(logits.device)
        others = logits.masked_fill(chosen, float("-inf")).logsumexp(dim=-1)
        mean: Tensor = (logits[:, chosen] - others).mean(dim=1)
        return mean

    return odds
