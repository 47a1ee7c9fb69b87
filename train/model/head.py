"""Owns the head of a tagger that starts from another one: rows of labels that both know are kept.

A label is kept when the base names both its tags, `B-X` and `I-X`; `O` is kept beside a label only,
for it means what the labels leave over. All other rows start new. Names are compared as they are
written: rename the data's labels with a label map where two corpora call one thing differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from safetensors import safe_open
from torch import Tensor, nn

from serve.artefacts.pretrained import CONFIG, INDEX, Pretrained
from serve.errors import CheckpointError
from serve.labels import OUTSIDE, Tags

_WEIGHT, _BIAS = "classifier.weight", "classifier.bias"


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The last layer of a tagger, and the name of each of its rows.

    Attributes:
        names: The tags. Shape: (L,)
        weight: Shape: (L, width).
        bias: Shape: (L,)
    """

    names: tuple[str, ...]
    weight: Tensor
    bias: Tensor


def read_head(files: Pretrained, width: int) -> Head | None:
    """Return the head of a tagger's folder, None where the model has none.

    Raises:
        CheckpointError: If it has not as many rows as the configuration has tags, or they have
            another width than the model.
    """
    weight, bias = (_read_tensor(files, name) for name in (_WEIGHT, _BIAS))
    id2label = files.config().get("id2label")
    if weight is None or bias is None or not isinstance(id2label, dict):
        return None
    names = tuple(str(id2label.get(str(row))) for row in range(len(id2label)))
    expected = (len(names), width)
    if tuple(weight.shape) != expected or tuple(bias.shape) != expected[:1]:
        raise CheckpointError(
            f"{files.folder}: expected a {_WEIGHT} of shape {expected}, a row for each tag of "
            f"{CONFIG}, got {tuple(weight.shape)}; take both from one model"
        )
    return Head(names, weight, bias)


def keep_rows(layer: nn.Module, tags: Tags, head: Head) -> tuple[str, ...]:
    """Copy the rows of the labels that the tags and a head both know into a new layer.

    Args:
        layer: A linear layer with a row for each tag.
        tags: Its tags.
        head: The head to take rows from.

    Returns:
        The labels kept.
    """
    with torch.no_grad():
        for row, old in kept_rows(tags, head.names).items():
            layer.get_parameter("weight")[row] = head.weight[old]
            layer.get_parameter("bias")[row] = head.bias[old]
    return _kept_labels(tags, head.names)


def kept_rows(tags: Tags, names: Sequence[str]) -> dict[int, int]:
    """Return the number of each tag that is kept, and that of the same tag among the base's.

    Args:
        tags: The new tags.
        names: The base's. Shape: (L,)
    """
    kept = _kept_labels(tags, names)
    shared = {OUTSIDE, *(f"{prefix}-{name}" for name in kept for prefix in "BI")} if kept else set()
    return {tags.id_of(name): names.index(name) for name in shared.intersection(names)}


def _kept_labels(tags: Tags, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in tags.labels if {f"B-{name}", f"I-{name}"} <= set(names))


def _read_tensor(files: Pretrained, name: str) -> Tensor | None:
    """Return a tensor from the file of the weights that holds it."""
    for part in files.weights():
        if part != INDEX:
            with safe_open(files.folder / part, framework="pt") as file:
                if name in file.keys():  # noqa: SIM118
                    tensor: Tensor = file.get_tensor(name)
                    return tensor.float()
    return None
