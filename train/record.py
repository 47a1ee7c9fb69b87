"""Owns what is written down of a run: what identifies it, and how its checkpoint came about."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from serve.bundle import sha256
from train.base import Base
from train.config import TrainConfig
from train.data import Corpus
from train.fit import best_epoch
from train.state import Epoch

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
_NOT_THE_RUN = frozenset(
    {"data", "train", "dev", "test", "output", "save_every_s", "resume", "tensorboard", "json"}
)
"""Settings a resumed run may change; of the data, what the files hold counts instead."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What training took.

    Attributes:
        device: Where it ran.
        number_format: Of its matrix products.
        num_processes: How many shared it.
        training_s: Since it began, or was resumed, dev F1 of each epoch included.
        peak_memory_bytes: Of the first process: on the GPU where there is one, else in all.
    """

    device: str
    number_format: str
    num_processes: int
    training_s: float
    peak_memory_bytes: int


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory this process has held: of a GPU's where it runs there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB


def fingerprint(config: TrainConfig, corpus: Corpus, model: nn.Module) -> str:
    """Return a hash of all that a run's result depends on."""
    digest = hashlib.sha256(json.dumps(_settings(config), sort_keys=True).encode())
    digest.update(repr((corpus.train.examples, corpus.dev.examples)).encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def run_record(
    config: TrainConfig, corpus: Corpus, base: Base, history: Sequence[Epoch], cost: Cost
) -> dict[str, Any]:
    """Return how a checkpoint came about, as JSON."""
    splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {
        "settings": _settings(config),
        "base": {
            "name": config.model,
            "weights_sha256": {p.name: sha256(p.read_bytes()) for p in base.weight_files},
        },
        "data": {
            name: {
                "file": split.path.name,
                "sha256": sha256(split.path.read_bytes()),
                "num_lines": len(split.examples),
                "num_spans": dict(sorted(split.labels.items())),
            }
            for name, split in splits.items()
            if split
        },
        "epochs": [
            {"number": epoch.number, "loss": epoch.loss, "dev_f1": epoch.score} for epoch in history
        ],
        "best_epoch": best_epoch(history).number,
        "cost": asdict(cost),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
    }


def _settings(config: TrainConfig) -> dict[str, Any]:
    return {k: v for k, v in asdict(config).items() if k not in _NOT_THE_RUN}
