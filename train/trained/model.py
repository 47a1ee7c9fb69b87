"""Owns the way back into a checkpoint: the trained model with all that it answers by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoModelForTokenClassification, PreTrainedModel
from transformers.utils import logging as transformers_logging

from serve.artefacts.checkpoint import REMEDY, decoding_of, tags_of
from serve.artefacts.families import loading
from serve.artefacts.loaded import check_finite, check_loaded
from serve.artefacts.pretrained import CONFIG, Pretrained
from serve.decode.decoding import Decoding
from serve.encoding import Encoder
from serve.errors import CheckpointError
from serve.labels import Tags
from serve.tagger import Tagger
from train.loop.processes import Processes
from train.model.base import find_base
from train.scores.evaluate import TorchBackend


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A checkpoint in memory.

    Attributes:
        folder: Where it lies.
        model: Its model, in evaluation mode, on the device that training would take.
        tokenizer: Its tokenizer, without truncation or padding.
        encoder: Turns texts into windows.
        tags: The tags of its logits.
        decoding: How they are read.
    """

    folder: Path
    model: PreTrainedModel
    tokenizer: Tokenizer
    encoder: Encoder
    tags: Tags
    decoding: Decoding

    def tagger(self) -> Tagger:
        """Return the tagger that the model makes."""
        backend = TorchBackend(self.model)
        return Tagger(self.encoder, self.tags, backend, decoding=self.decoding)


def load_trained(folder: Path) -> Trained:
    """Load a checkpoint, its head too.

    Raises:
        CheckpointError: If it is missing, unsafe, not of a supported family, or its weights are not
            all that a token classifier has, or not finite.
    """
    if not Pretrained(folder).has(CONFIG):
        raise CheckpointError(f"{folder}: expected a checkpoint, got no {CONFIG}; {REMEDY}")
    base = find_base(str(folder))
    config = base.files.config()
    tags = tags_of(config, folder / CONFIG)
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # we say it below
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with base.files.checked_folder() as checked:
            model, info = AutoModelForTokenClassification.from_pretrained(
                checked, **loading(config)
            )
    except CheckpointError:
        raise
    except Exception as error:  # safetensors and transformers share no base class
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}: expected the model's weights, got {reason}") from error
    check_loaded(folder, info, model.config.model_type)
    check_finite(folder, model.named_parameters())
    model.to(Processes().device).eval()
    return Trained(folder, model, base.tokenizer, base.encoder(), tags, decoding_of(folder, tags))
