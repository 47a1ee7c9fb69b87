"""Owns what a checkpoint's files say of its tags, for whoever loads one with whatever library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.artefacts.parts import MAX_JSON_BYTES
from serve.artefacts.pretrained import Pretrained
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
        CheckpointError: If its file of that is a link, damaged, too large or made for other tags.
    """
    files = Pretrained(folder)
    if not files.has(DECODING):
        return Decoding()
    try:
        content = files.read(DECODING, max_bytes=MAX_JSON_BYTES).decode()
        return Decoding.from_json(content, num_tags=len(tags))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / DECODING}: {error}; {REMEDY}") from error
