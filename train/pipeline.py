"""Owns the order of a training run: read, fit, evaluate, write."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from serve.errors import DataError
from serve.tagger import Tagger
from train.base import find_base
from train.borders import warn_of_lost_spans
from train.checkpoint import Checkpoint, check_output, write_checkpoint
from train.collate import label_windows
from train.config import TrainConfig
from train.data import Corpus, read_corpus
from train.device import choose_device, has_bf16, out_of_memory_told
from train.evaluate import Evaluation, TorchBackend, entity_f1, evaluate
from train.fit import Fit, Resume, best_epoch
from train.optimizer import freeze
from train.report import evaluation_json
from train.state import Epoch, state_path

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
_NOT_THE_RUN = frozenset({"data", "train", "dev", "test", "output", "resume", "json"})
"""Settings a resumed run may change; of the data, what the files hold counts instead."""

logger = logging.getLogger(__name__)


@out_of_memory_told()
def run(config: TrainConfig) -> dict[str, Evaluation]:
    """Train, evaluate and write a checkpoint.

    Returns:
        The evaluation on dev, and on test where there is one.

    Raises:
        DataError: If a data file is not as expected.
        CheckpointError: If the base model cannot be used or the output not be written.
        TaggingError: If the device's memory is too small, or the loss no longer finite.
    """
    check_output(config.output)
    corpus = read_corpus(config)
    base = find_base(config.model)
    encoder = base.encoder()
    tags = corpus.tags
    torch.manual_seed(config.seed)  # the new head's weights
    model = base.load_model(tags)
    freeze(model, config.freeze_layers)
    resume = Resume(state_path(config.output), _fingerprint(config, corpus, model))
    device = choose_device()
    model.to(device)  # type: ignore[arg-type]
    windows = label_windows(
        corpus.train.examples, encoder, tags, label_all_tokens=config.label_all_tokens
    )
    if not windows:
        raise DataError(f"{corpus.train.path}: expected lines with words, got none")
    _say(config, corpus, device)
    for split in filter(None, (corpus.train, corpus.dev, corpus.test)):
        warn_of_lost_spans(split, encoder)
    tagger = Tagger(encoder, tags, TorchBackend(model))
    fit = Fit(model, windows, encoder, lambda: entity_f1(tagger, corpus.dev.examples), config)
    history = fit.run(resume)
    splits = {"dev": corpus.dev, "test": corpus.test}
    figures = {k: evaluate(tagger, encoder, s.examples) for k, s in splits.items() if s}
    evaluation: dict[str, Any] = {k: evaluation_json(e) for k, e in figures.items()}
    record = _record(config, corpus, history, device)
    test = corpus.test.examples if corpus.test else ()
    lines = corpus.train.examples, corpus.dev.examples
    checkpoint = Checkpoint(model.cpu(), base, *lines, evaluation, record, test)
    write_checkpoint(config.output, checkpoint)
    resume.path.unlink(missing_ok=True)
    return figures


def _say(config: TrainConfig, corpus: Corpus, device: torch.device) -> None:
    logger.info(
        "training %s on %d lines and %d labels; dev %d lines; %s, %s",
        config.model, len(corpus.train.examples), len(corpus.tags.labels),
        len(corpus.dev.examples), device, "bfloat16" if has_bf16(device) else "float32",
    )  # fmt: skip
    num_spans = corpus.train.labels
    counts = ", ".join(f"{label} ({num_spans[label]})" for label in corpus.tags.labels)
    logger.info("labels and their spans in train: %s", counts)


def _fingerprint(config: TrainConfig, corpus: Corpus, model: nn.Module) -> str:
    """Return a hash of all that a run's result depends on."""
    settings = {k: v for k, v in asdict(config).items() if k not in _NOT_THE_RUN}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(repr((corpus.train.examples, corpus.dev.examples)).encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def _record(
    config: TrainConfig, corpus: Corpus, history: tuple[Epoch, ...], device: torch.device
) -> dict[str, Any]:
    """Return how the checkpoint came about, as JSON."""
    splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {
        "settings": {k: v for k, v in asdict(config).items() if k not in _NOT_THE_RUN},
        "data": {
            name: {"file": split.path.name, "num_lines": len(split.examples)}
            for name, split in splits.items()
            if split
        },
        "epochs": [asdict(epoch) for epoch in history],
        "best_epoch": best_epoch(history).number,
        "device": device.type,
        "bfloat16": has_bf16(device),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
    }
