"""Owns the head of a tagger that starts from another one: rows of labels that both know are kept.

A label is kept when the base names both its tags, `B-X` and `I-X`; `O` is kept beside a label only,
for it means what the labels leave over. All other rows start new. Names are compared as they are
written: rename the data's labels with a label map where two corpora call one thing differently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from serve.errors import CheckpointError
from serve.labels import OUTSIDE, Tags
from train.source import CONFIG, WEIGHTS

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


def read_head(folder: Path, width: int) -> Head | None:
    """Return the head of a tagger's folder, None where the model has none.

    Raises:
        CheckpointError: If it has not as many rows as the configuration has tags, or they have
            another width than the model.
    """
    weight, bias = (_read_tensor(folder, name) for name in (_WEIGHT, _BIAS))
    id2label = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("id2label")
    if weight is None or bias is None or not isinstance(id2label, dict):
        return None
    names = tuple(str(id2label.get(str(row))) for row in range(len(id2label)))
    expected = (len(names), width)
    if tuple(weight.shape) != expected or tuple(bias.shape) != expected[:1]:
        raise CheckpointError(
            f"{folder}: expected a {_WEIGHT} of shape {expected}, a row for each tag of {CONFIG}, "
            f"got {tuple(weight.shape)}; take both from one model"
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
    kept = tuple(name for name in tags.labels if {f"B-{name}", f"I-{name}"} <= set(head.names))
    shared = {OUTSIDE, *(f"{prefix}-{name}" for name in kept for prefix in "BI")} if kept else set()
    with torch.no_grad():
        for name in shared.intersection(head.names):
            row, old = tags.id_of(name), head.names.index(name)
            layer.get_parameter("weight")[row] = head.weight[old]
            layer.get_parameter("bias")[row] = head.bias[old]
    return kept


def _read_tensor(folder: Path, name: str) -> Tensor | None:
    """Return a tensor from `model.safetensors`, or from the part of it an index names."""
    index = folder / f"{WEIGHTS}.index.json"
    path = folder / WEIGHTS
    if not path.is_file():
        parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        path = folder / parts.get(name, "")
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name).float() if name in file.keys() else None  # noqa: SIM118
