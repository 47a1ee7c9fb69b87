"""Owns the way into a checkpoint: what is refused before loading, and the PyTorch reference.

What could be unsafe in it, `serve.artefacts.pretrained` refuses. Knows nothing of ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optimum.utils import NormalizedConfigManager
from transformers import AutoModelForTokenClassification, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from export.snapshot import Snapshot
from serve.artefacts.checkpoint import decoding_of, tags_of
from serve.artefacts.families import (
    MAX_WEIGHT_BYTES,
    check_padding,
    check_plain,
    loading,
    max_tokens,
    pad_id,
)
from serve.artefacts.loaded import check_finite, check_loaded
from serve.artefacts.pretrained import CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, Pretrained
from serve.artefacts.tokenizer_file import read_tokenizer
from serve.artefacts.tokenizer_settings import check_settings
from serve.backend import Backend
from serve.decode.decoding import Decoding
from serve.encoding import EncodedBatch, Encoder
from serve.errors import CheckpointError, first_line
from serve.labels import Tags
from serve.tagger import Tagger

_SAME_AS = {
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_accurate": "gelu_new",
}
"""Other names of the two activations that can be fused: the same functions but for rounding."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes the fusion contract is stated in.

    Attributes:
        num_layers: Transformer layers.
        num_heads: Attention heads.
        hidden_size: Width of the encoder.
        activation: Between the two products of a feed-forward layer, by Hugging Face's name.
    """

    num_layers: int
    num_heads: int
    hidden_size: int
    activation: str


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint that was checked and loaded.

    Attributes:
        folder: Where it lies.
        model: The PyTorch tagger, in evaluation mode, with eager attention.
        tags: Tags of its logits.
        decoding: How its logits are read.
        encoder: Its encoder.
        shape: Its sizes.
        snapshot: What its files held before any of it was loaded.
    """

    folder: Path
    model: PreTrainedModel
    tags: Tags
    decoding: Decoding
    encoder: Encoder
    shape: Shape
    snapshot: Snapshot

    def tagger(self, backend: Backend, **how: Any) -> Tagger:  # noqa: ANN401
        """Return a tagger on a backend whose logits are read as the checkpoint's; see `Tagger`."""
        return Tagger(self.encoder, self.tags, backend, decoding=self.decoding, **how)


class TorchBackend:
    """The reference every graph is held against: the checkpoint in PyTorch, FP32."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Take a model in evaluation mode."""
        self._model = model

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L), float32."""
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(batch.input_ids),
                attention_mask=torch.from_numpy(batch.attention_mask),
            )
        logits: NDArray[np.float32] = output.logits.float().numpy()
        return logits


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load a token-classification checkpoint in Hugging Face form.

    Raises:
        CheckpointError: If a file is missing, the configuration asks for code, the family is not
            known, the tags are not BIO, the weights are not all that a token classifier has, not
            finite, or do not fit into one ONNX file.
    """
    snapshot = Snapshot.take(folder)
    config = _read_config(folder)
    tags = tags_of(config, folder / CONFIG)
    Pretrained(folder).check_sizes(config)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we say it below
    try:
        with Pretrained(folder).checked_folder() as checked:
            model, info = AutoModelForTokenClassification.from_pretrained(
                checked,
                attn_implementation="eager",  # the form whose attention can be fused
                **loading(config),
                **_activation(config),
            )
    except CheckpointError:
        raise
    except Exception as error:  # transformers raises many kinds for a damaged folder
        raise CheckpointError(
            f"{folder}: expected a model that loads, got {first_line(error)}"
        ) from error
    check_padding(model.config.to_dict(), folder / CONFIG)
    check_loaded(folder, info, model.config.model_type)
    _check_size(folder, model)
    check_finite(folder, model.named_parameters())
    return Checkpoint(
        folder=folder,
        model=model.eval(),
        tags=tags,
        decoding=decoding_of(folder, tags),
        encoder=_encoder(snapshot, model.config),
        shape=_shape(model.config),
        snapshot=snapshot,
    )


def _activation(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the setting of an activation that can be fused under another name."""
    names = {key: str(config.get(key)) for key in ("hidden_act", "activation")}
    return {key: _SAME_AS[name] for key, name in names.items() if name in _SAME_AS}


def _check_size(folder: Path, model: PreTrainedModel) -> None:
    size_bytes = 4 * model.num_parameters()
    if size_bytes > MAX_WEIGHT_BYTES:
        raise CheckpointError(
            f"{folder / WEIGHTS}: expected at most {MAX_WEIGHT_BYTES / 1e9:.2f} GB of "
            f"weights in FP32, what one ONNX file holds, got {size_bytes / 1e9:.2f}; "
            "choose a smaller model, or one with fewer tokens"
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path, files = folder / CONFIG, Pretrained(folder)
    config = files.config()
    if files.has(TOKENIZER_CONFIG):  # optional, and copied into the bundle
        files.config(TOKENIZER_CONFIG)
    check_plain(config, path)
    return config


def _encoder(snapshot: Snapshot, config: PretrainedConfig) -> Encoder:
    settings = config.to_dict()
    try:
        tokenizer = read_tokenizer(snapshot.copied[TOKENIZER])
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        if largest >= config.vocab_size:
            raise ValueError(f"token id {largest} for {config.vocab_size} embeddings")
        stated = json.loads(snapshot.copied.get(TOKENIZER_CONFIG, b"{}"))
        check_settings(snapshot.folder, stated, tokenizer)
        return Encoder(tokenizer, max_tokens=max_tokens(settings), pad_id=pad_id(settings))
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(
            f"{snapshot.folder / TOKENIZER}: expected the model's tokenizer, got {error}; "
            "take both from one training run"
        ) from error


def _shape(config: PretrainedConfig) -> Shape:
    normalized = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
    return Shape(
        num_layers=normalized.num_layers,
        num_heads=normalized.num_attention_heads,
        hidden_size=normalized.hidden_size,
        activation=str(getattr(config, "hidden_act", None) or config.activation),
    )
