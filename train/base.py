"""Owns the base model: what is refused before anything of it is loaded, and its loading.

Code that comes with a model is never run and a pickle is never opened; weights that a configuration
promises and a file lacks are never filled in at random.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from serve.encoding import Encoder
from serve.errors import CheckpointError
from serve.families import FAMILIES, max_tokens, pad_id
from serve.labels import Tags
from train.head import keep_rows, read_head
from train.source import CONFIG, TOKENIZER, WEIGHTS, find_folder

_SUPPORTED = {"position_embedding_type": "absolute", "is_decoder": False}
"""Settings that change what a model computes, and the values that make it a plain encoder."""
_CASE = "do_lower_case"
_UNSAFE = ("auto_map", "trust_remote_code", "_attn_implementation_internal")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A base model whose configuration was checked.

    Attributes:
        name: What the user asked for.
        folder: Where its files lie.
        tokenizer: Its tokenizer, without truncation or padding.
        max_tokens: Longest sequence it takes, special tokens included.
        pad_id: Token id of padding.
    """

    name: str
    folder: Path
    tokenizer: Tokenizer
    max_tokens: int
    pad_id: int

    @property
    def weight_files(self) -> list[Path]:
        """The files of its weights: one, or those an index names."""
        whole = self.folder / WEIGHTS
        return [whole] if whole.is_file() else sorted(self.folder.glob("model-*.safetensors"))

    def encoder(self) -> Encoder:
        """Return the encoder that training and serving share.

        Raises:
            CheckpointError: If the tokenizer is not of a form that serving knows.
        """
        try:
            return Encoder(self.tokenizer, max_tokens=self.max_tokens, pad_id=self.pad_id)
        except ValueError as error:
            raise CheckpointError(
                f"{self.folder / TOKENIZER}: {error}; choose another model"
            ) from error

    def load_model(self, tags: Tags) -> PreTrainedModel:
        """Return the model in FP32 with a head for the tags: new, or kept where labels agree.

        Raises:
            CheckpointError: If the weights are damaged or lack a part of the encoder, or a head
                does not fit its tags.
        """
        model, _ = self._load(
            AutoModelForTokenClassification,
            id2label=dict(enumerate(tags.names)),
            label2id={name: i for i, name in enumerate(tags.names)},
        )
        self._renew_head(model, tags)
        return model

    def load_masked(self) -> tuple[PreTrainedModel, bool]:
        """Return the model in FP32 with a head that guesses words, and whether that is a new one.

        Raises:
            CheckpointError: If the weights are damaged or lack a part of the encoder.
        """
        model, lost = self._load(AutoModelForMaskedLM)
        return model, bool(lost)

    def _load(self, auto: Any, **settings: Any) -> tuple[PreTrainedModel, set[str]]:  # noqa: ANN401
        """Return a model and the names of those weights of its head that the base has not."""
        # A new head is no news, and what else could be wrong is checked below.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model: PreTrainedModel
        info: dict[str, Any]
        try:
            model, info = auto.from_pretrained(
                self.folder,
                use_safetensors=True,
                trust_remote_code=False,
                dtype="float32",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **settings,
            )
        except Exception as error:  # safetensors and transformers share no base class
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{self.folder}: expected the model's weights, got {reason}"
            ) from error
        wrong = {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}
        encoder = f"{model.base_model_prefix}."
        if lost := sorted(key for key in wrong if key.startswith(encoder)):
            raise CheckpointError(
                f"{self.folder}: expected weights for {lost[0]} (and {len(lost) - 1} more) as its "
                f"{CONFIG} says, got none; choose a complete model"
            )
        return model, wrong

    def _renew_head(self, model: PreTrainedModel, tags: Tags) -> None:
        """Replace the head, also one of the right size: it knows its own tags' order, not ours."""
        layer = model.get_submodule("classifier")
        nn.init.normal_(layer.get_parameter("weight"), std=model.config.initializer_range)
        nn.init.zeros_(layer.get_parameter("bias"))
        head = read_head(self.folder, layer.get_parameter("weight").shape[1])
        if head:
            kept = keep_rows(layer, tags, head)
            names = f" ({', '.join(kept)})" if kept else ""
            logger.info(
                "%s is a tagger: its encoder stays, and its head for %d of %d labels%s",
                self.name, len(kept), len(tags.labels), names,
            )  # fmt: skip


def find_base(name: str) -> Base:
    """Find and check a base model: `DEFAULT_MODEL`, a folder, or a name on the hub.

    Raises:
        CheckpointError: If it is missing, unsafe, or not of a supported family.
    """
    folder = find_folder(name)
    config = _checked_config(folder)
    tokenizer = _tokenizer(folder)
    if (num_tokens := tokenizer.get_vocab_size()) > config["vocab_size"]:
        raise CheckpointError(
            f"{folder / TOKENIZER}: expected at most {config['vocab_size']} tokens, as many as the "
            f"model's, got {num_tokens}; take both from one model"
        )
    return Base(name, folder, tokenizer, max_tokens(config), pad_id(config))


def _checked_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: expected a readable file, got {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: expected JSON, got {error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else config
    if not isinstance(config, dict) or kind not in FAMILIES:
        raise CheckpointError(
            f"{path}: expected a model_type of {', '.join(FAMILIES)}, got {kind!r}; "
            "choose a model of these families"
        )
    if unsafe := [key for key in _UNSAFE if key in config]:
        raise CheckpointError(f"{path}: expected no code of its own, got {unsafe[0]!r}; refused")
    if not (folder / WEIGHTS).is_file() and not (folder / f"{WEIGHTS}.index.json").is_file():
        have = ", ".join(sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt")))
        raise CheckpointError(
            f"{folder}: expected {WEIGHTS}, got {have or 'none'}; pickled weights are not opened, "
            "save them as safetensors"
        )
    for key, expected in _SUPPORTED.items():
        if (got := config.get(key, expected)) != expected:
            raise CheckpointError(
                f"{path}: expected {key} {expected!r}, got {got!r}; choose a model without it"
            )
    for key in ("vocab_size", "max_position_embeddings"):
        if not isinstance(config.get(key), int):
            raise CheckpointError(f"{path}: expected a number {key!r}, got {config.get(key)!r}")
    return config


def _tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a folder; from `vocab.txt` where it has nothing newer."""
    path = folder / TOKENIZER
    try:
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        elif (folder / "vocab.txt").is_file():
            tokenizer = AutoTokenizer.from_pretrained(folder, **_case(folder)).backend_tokenizer
        else:
            raise CheckpointError(f"{folder}: expected {TOKENIZER} or vocab.txt, got neither")
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(f"{path}: expected a tokenizer, got {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _case(folder: Path) -> dict[str, bool]:
    """Return whether to lower the case, told from `vocab.txt` where no setting says it.

    An uncased BERT has no piece with a capital, special tokens aside.
    """
    settings = folder / "tokenizer_config.json"
    if settings.is_file() and _CASE in json.loads(settings.read_text(encoding="utf-8")):
        return {}
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words = (piece for piece in pieces if not (piece.startswith("[") and piece.endswith("]")))
    return {_CASE: all(word == word.lower() for word in words)}
