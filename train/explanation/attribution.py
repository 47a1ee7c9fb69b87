"""Owns what each token adds to a choice: integrated gradients, and occlusion as the check.

Both compare the line with one whose words are all hidden behind the model's mask token. Integrated
gradients (Sundararajan et al. 2017) follow the embeddings from there to the line, so that the
tokens' shares add up to the whole change; how far they fall short is the completeness error, and
steps are added until it is small. Occlusion hides one word at a time, whole: a word that does
nothing by itself, because another says the same, gets less there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from captum.attr import FeatureAblation, LayerIntegratedGradients
from torch import Tensor
from transformers import PreTrainedModel

from serve.encoding import Window
from serve.words import NO_WORD
from train.explanation.choice import Odds

STEPS = (32, 64, 128, 256)
"""Of the integral, until it is complete."""
TOLERANCE = 0.02
"""Largest completeness error, as a share of the change."""
_BATCH = 16
"""Lines that are computed at once."""


class Attribution(NamedTuple):
    """What each token of a window adds to a choice.

    Attributes:
        gradients: By integrated gradients. Shape: (T,)
        occlusion: By hiding its word; a word's tokens all have the same. Shape: (T,)
        odds: Log odds of the choice.
        hidden_odds: The same with every word hidden.
        completeness_error: Change of the log odds that the gradients do not account for.
    """

    gradients: list[float]
    occlusion: list[float]
    odds: float
    hidden_odds: float
    completeness_error: float


def attribute(model: PreTrainedModel, odds: Odds, window: Window, mask_id: int) -> Attribution:
    """Attribute a choice to the tokens of its window."""
    ids = torch.tensor([window.input_ids], device=model.device)
    hidden = torch.tensor([hide(window, mask_id)], device=model.device)
    attention = torch.ones_like(ids)
    with torch.no_grad():
        at_line, at_hidden = float(odds(ids, attention)), float(odds(hidden, attention))
    gradients, error = _integrated(model, odds, ids, hidden, at_line - at_hidden)
    features = _features(window.word_ids).to(model.device)
    occlusion = FeatureAblation(odds).attribute(
        ids, hidden, additional_forward_args=(attention,), feature_mask=features,
        perturbations_per_eval=_BATCH,
    )  # fmt: skip
    return Attribution(gradients, occlusion[0].tolist(), at_line, at_hidden, error)


def hide(window: Window, mask_id: int) -> list[int]:
    """Return a window's ids with every word behind the mask; special tokens stay. Shape: (T,)."""
    pairs = zip(window.input_ids, window.word_ids, strict=True)
    return [token if word == NO_WORD else mask_id for token, word in pairs]


def _integrated(
    model: PreTrainedModel, odds: Odds, ids: Tensor, hidden: Tensor, change: float
) -> tuple[list[float], float]:
    """Return each token's share of the change, and what they leave of it."""
    method = LayerIntegratedGradients(odds, model.get_input_embeddings())
    shares: list[float] = []
    for num_steps in STEPS:
        found = method.attribute(
            ids, hidden, additional_forward_args=(torch.ones_like(ids),), n_steps=num_steps,
            internal_batch_size=_BATCH,
        )  # fmt: skip
        shares = found[0].sum(dim=-1).tolist()
        if abs(change - sum(shares)) <= TOLERANCE * abs(change):
            break
    return shares, change - sum(shares)


def _features(word_ids: Sequence[int]) -> Tensor:
    """Return for each token which feature it belongs to: its word, or the special tokens."""
    order = {word: feature for feature, word in enumerate(dict.fromkeys(word_ids))}
    return torch.tensor([[order[word] for word in word_ids]])
