"""Owns what a checkpoint's files say of its tags, for whoever loads one with whatever library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.decode.decoding import DECODING, Decoding
from serve.errors import CheckpointError
from serve.labels import Tags

REMEDY = "train it with python -m train"


def tags_of(config: Mapping[str, Any], path: Path) -> Tags:
    """Return the tags of a model, in the order of its logits.

    Args:
        config: Its configuration, in Hugging Face's form.
        path: The file that it was read from.

    Raises:
        CheckpointError: If it names no BIO tags.
    """
    id2label = config.get("id2label")
    try:
        if not isinstance(id2label, dict):
            raise ValueError(f"expected id2label, got {id2label!r}")
        return Tags(tuple(str(id2label[str(i)]) for i in range(len(id2label))))
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: {error}; {REMEDY}") from error


def decoding_of(folder: Path, tags: Tags) -> Decoding:
    """Return how a checkpoint's logits are read; the plain way if it does not say.

    Raises:
        CheckpointError: If its file of that is damaged or made for other tags.
    """
    path = folder / DECODING
    if not path.exists():
        return Decoding()
    try:
        return Decoding.from_json(path.read_text(encoding="utf-8"), num_tags=len(tags))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}; {REMEDY}") from error
