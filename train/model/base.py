"""Owns the base model: that it does for a tagger, and its loading.

What could be unsafe in it, `serve.artefacts.pretrained` refuses first. Weights that a configuration
promises and a file lacks are never filled in at random.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from serve.artefacts.checkpoint import decoding_of, tags_of
from serve.artefacts.families import (
    MAX_WEIGHT_BYTES,
    check_padding,
    check_plain,
    loading,
    max_tokens,
    pad_id,
)
from serve.artefacts.loaded import check_finite
from serve.artefacts.pretrained import (
    CONFIG,
    INDEX,
    TOKENIZER,
    WEIGHTS,
    Pretrained,
)
from serve.bundle import MANIFEST
from serve.decode.decoding import DECODING, Decoding
from serve.encoding import Encoder
from serve.errors import CheckpointError, DataError
from serve.labels import Tags
from train.model.attention import ATTENTION
from train.model.dropout import replace_dropout
from train.model.head import keep_rows, kept_rows, read_head
from train.model.source import find_files
from train.model.tokenizer import find_tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A base model whose configuration was checked.

    Attributes:
        name: What the user asked for.
        files: Its files.
        tokenizer: Its tokenizer, without truncation or padding.
        max_tokens: Longest sequence it takes, special tokens included.
        pad_id: Token id of padding.
    """

    name: str
    files: Pretrained
    tokenizer: Tokenizer
    max_tokens: int
    pad_id: int

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.files.folder

    @property
    def weight_files(self) -> list[Path]:
        """The files of its weights: one, or those an index names."""
        return [self.folder / name for name in self.files.weights() if name != INDEX]

    def encoder(self) -> Encoder:
        """Return the encoder that training and serving share.

        Raises:
            CheckpointError: If the tokenizer is not of a form that serving knows.
        """
        try:
            return Encoder(self.tokenizer, max_tokens=self.max_tokens, pad_id=self.pad_id)
        except (ValueError, DataError) as error:
            raise CheckpointError(
                f"{self.folder / TOKENIZER}: {error}; choose another model"
            ) from error

    def load_model(self, tags: Tags) -> PreTrainedModel:
        """Return the model in FP32 with a head for the tags: new, or kept where labels agree.

        Raises:
            CheckpointError: If the weights are damaged, not finite or lack a part of the encoder,
                or a head does not fit its tags.
        """
        model, _ = self._load(
            AutoModelForTokenClassification,
            id2label=dict(enumerate(tags.names)),
            label2id={name: i for i, name in enumerate(tags.names)},
        )
        self._renew_head(model, tags)
        check_finite(self.folder, model.named_parameters())
        if (size_bytes := 4 * model.num_parameters()) > MAX_WEIGHT_BYTES:
            logger.warning(
                "warning: %s: expected at most %.2f GB of weights in FP32, what export takes, got "
                "%.2f; choose a smaller model, or one with fewer tokens, if it is to be exported",
                self.name, MAX_WEIGHT_BYTES / 1e9, size_bytes / 1e9,
            )  # fmt: skip
        return model

    def chain(self, tags: Tags) -> tuple[Decoding, dict[int, int]]:
        """Return how a tagger's own logits are read, and which of its tags are kept.

        Args:
            tags: The new tags.

        Returns:
            The plain way and none where the base is no tagger of ours; else also the number of
            each tag that is kept, and its number in the base, see `train.model.head`.

        Raises:
            CheckpointError: If the file of that is damaged, or made for other tags.
        """
        if not self.files.has(DECODING):
            return Decoding(), {}
        theirs = tags_of(self.files.config(), self.folder / CONFIG)
        return decoding_of(self.folder, theirs), kept_rows(tags, theirs.names)

    def load_masked(self) -> tuple[PreTrainedModel, bool]:
        """Return the model in FP32 with a head that guesses words, and whether that is a new one.

        Raises:
            CheckpointError: If the weights are damaged, not finite or lack a part of the encoder.
        """
        model, lost = self._load(AutoModelForMaskedLM)
        check_finite(self.folder, model.named_parameters())
        return model, bool(lost)

    def _load(self, auto: Any, **settings: Any) -> tuple[PreTrainedModel, set[str]]:  # noqa: ANN401
        """Return a model and the names of those weights of its head that the base has not."""
        # A new head is no news, and what else could be wrong is checked below.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model: PreTrainedModel
        info: dict[str, Any]
        try:
            with self.files.checked_folder() as folder:
                model, info = auto.from_pretrained(
                    folder,
                    attn_implementation=ATTENTION,
                    ignore_mismatched_sizes=True,
                    **loading(self.files.config()),
                    **settings,
                )
        except CheckpointError:
            raise
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
        replace_dropout(model)
        return model, wrong

    def _renew_head(self, model: PreTrainedModel, tags: Tags) -> None:
        """Replace the head, also one of the right size: it knows its own tags' order, not ours."""
        layer = model.get_submodule("classifier")
        nn.init.normal_(layer.get_parameter("weight"), std=model.config.initializer_range)
        nn.init.zeros_(layer.get_parameter("bias"))
        head = read_head(self.files, layer.get_parameter("weight").shape[1])
        if head:
            kept = keep_rows(layer, tags, head)
            part = "none of its head, which knows other labels"
            if kept:
                part = f"its head for {len(kept)} of {len(tags.labels)} labels ({', '.join(kept)})"
            logger.info("%s: its encoder stays, and %s", self.name, part)


def find_base(name: str) -> Base:
    """Find and check a base model: `DEFAULT_MODEL`, a folder, or a name on the hub.

    Raises:
        CheckpointError: If it is missing, unsafe, or not of a supported family.
    """
    files = find_files(name)
    config = _checked_config(files)
    tokenizer = find_tokenizer(files, config["model_type"])
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= config["vocab_size"]:
        raise CheckpointError(
            f"{files.folder / TOKENIZER}: expected ids of tokens below {config['vocab_size']}, as "
            f"many as the model has, got {largest}; take both from one model"
        )
    return Base(name, files, tokenizer, max_tokens(config), pad_id(config))


def _checked_config(files: Pretrained) -> dict[str, Any]:
    folder, path = files.folder, files.folder / CONFIG
    if not files.has(CONFIG) and (inside := sorted(folder.glob(f"*/{CONFIG}"))):
        raise CheckpointError(
            f"{folder}: expected {CONFIG}, got one in {inside[0].parent.name}; name that folder"
        )
    config = files.config()
    check_plain(config, path)
    if not files.weights():
        pickled = ", ".join(sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt")))
        remedy = "pickled weights are not opened, save them as safetensors"
        if (folder / MANIFEST).exists():
            remedy = "name the checkpoint that this bundle was exported from"
        raise CheckpointError(f"{folder}: expected {WEIGHTS}, got {pickled or 'none'}; {remedy}")
    if not isinstance(positions := config.get("max_position_embeddings"), int):
        raise CheckpointError(
            f"{path}: expected a number 'max_position_embeddings', got {positions!r}"
        )
    files.check_sizes(config)
    check_padding(config, path)
    return config
