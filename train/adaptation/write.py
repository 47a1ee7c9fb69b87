"""Owns the folder of an adapted base model: a base for `python -m train --model`, and its record.

build/base/
    config.json, model.safetensors, tokenizer.json, tokenizer_config.json
    adapt.json        settings, files with their SHA-256, perplexity, epochs, versions
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from serve.artefacts.pretrained import CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from serve.errors import CheckpointError
from serve.files import replacing
from train.model.base import Base
from train.model.checkpoint import check_output, write_json, write_model

ADAPT = "adapt.json"
FILES = frozenset({CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, ADAPT})


def check_adapted(output: Path) -> None:
    """Refuse to replace what is not an adapted base model.

    Raises:
        CheckpointError: If something else lies there.
    """
    check_output(output, "an adapted base model", FILES, frozenset({CONFIG, ADAPT}))


def write_adapted(output: Path, model: PreTrainedModel, base: Base, record: dict[str, Any]) -> None:
    """Write an adapted base model, whole or not at all, in place of an older one.

    Raises:
        CheckpointError: If something else lies there, or it cannot be written.
    """
    check_adapted(output)
    try:
        with replacing(output) as staging:
            write_model(staging, model, base)
            write_json(staging / ADAPT, record)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{output}: expected to write a base model, got {error}; make room there and go on "
            "with --resume, or choose another --output"
        ) from error
