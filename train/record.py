"""Owns what is written down of a run: what identifies it, and how its checkpoint came about."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from serve.bundle import sha256
from train.config import LoopConfig, TrainConfig
from train.corpus.data import Corpus, Split
from train.loop.device import format_name, number_format
from train.loop.fit import best_epoch
from train.loop.processes import Processes
from train.loop.state import Epoch
from train.model.base import Base

_PACKAGES = ("linetag", "torch", "transformers", "tokenizers", "safetensors", "numpy")
_NOT_THE_RUN = frozenset(
    {"data", "train", "dev", "test", "texts", "leave_out", "output"}
    | {"save_every_s", "resume", "tensorboard", "json"}
)
"""Settings a resumed run may change; of the data, what the files hold counts instead."""


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory this process has held: of a GPU's where it runs there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB


def cost_of(config: LoopConfig, processes: Processes, training_s: float) -> dict[str, Any]:
    """Return what a training took, as JSON.

    Args:
        config: Its settings.
        processes: How many shared it, and where.
        training_s: Since it began, or was resumed, the score of each epoch included.

    Returns:
        Beside that: its peak memory, on the GPU of the first process where there is one, else of
        that process in all.
    """
    return {
        "device": processes.device.type,
        "number_format": format_name(number_format(config.arithmetic, processes.device)),
        "num_processes": processes.num,
        "training_s": round(training_s, 3),
        "peak_memory_bytes": peak_memory_bytes(processes.device),
    }


def fingerprint(config: TrainConfig, corpus: Corpus, model: nn.Module, material: str) -> str:
    """Return a hash of all that a run's result depends on; `material` is its material's digest."""
    lines = (*corpus.train.examples, "dev", *corpus.dev.examples, material)
    return run_digest(config, lines, model)


def run_digest(config: LoopConfig, content: Iterable[object], model: nn.Module) -> str:
    """Return a hash of settings, of what the data files hold, and of a model's weights.

    Args:
        config: The settings.
        content: The lines, and whatever parts one kind of them from another.
        model: The weights as the run finds them.
    """
    digest = hashlib.sha256(json.dumps(settings_json(config), sort_keys=True).encode())
    for line in content:  # one by one: as a text they take more than in memory
        digest.update(repr(line).encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def start_digest(settings: object, corpus: Corpus, base: Base) -> str:
    """Return a hash of what several runs start from, before a model is loaded.

    Args:
        settings: What they have in common, as JSON.
        corpus: Their lines, of which train and dev count.
        base: Their base model, whose weights count: a folder's may be others by tomorrow.
    """
    digest = hashlib.sha256(json.dumps([settings, base_json(base)], sort_keys=True).encode())
    digest.update(repr((corpus.train.examples, corpus.dev.examples)).encode())
    return digest.hexdigest()


def run_record(
    config: TrainConfig, corpus: Corpus, base: Base, history: Sequence[Epoch], cost: dict[str, Any]
) -> dict[str, Any]:
    """Return how a checkpoint came about, as JSON."""
    splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    return {
        "settings": settings_json(config),
        "base": base_json(base),
        "data": {
            name: split_json(split, corpus.tags.labels) for name, split in splits.items() if split
        },
        "epochs": [
            {"number": epoch.number, "loss": epoch.loss, "dev_f1": epoch.score} for epoch in history
        ],
        "best_epoch": best_epoch(history).number,
        "cost": cost,
        "versions": versions(),
    }


def split_json(split: Split, labels: Sequence[str]) -> dict[str, Any]:
    """Return what a split holds and where it comes from, as JSON; every label has its number."""
    found = split.labels
    counts = {
        "num_lines": len(split.examples),
        "num_spans": {label: found[label] for label in labels},
    }
    if split.parts:
        parts = [{"role": role} | split_json(part, labels) for role, part in split.parts]
        return counts | {"parts": parts}
    return {"file": split.path.name, "sha256": data_sha256(split.path)} | counts


def base_json(base: Base) -> dict[str, Any]:
    """Return what a base model is called and which one it is, as JSON."""
    digests = {path.name: sha256(path.read_bytes()) for path in base.weight_files}
    return {"name": base.name, "weights_sha256": digests}


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that had a hand in a run."""
    return {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES}


def settings_json(config: LoopConfig) -> dict[str, Any]:
    """Return the settings that a run's result depends on, data and places aside, as JSON."""
    return {k: v for k, v in asdict(config).items() if k not in _NOT_THE_RUN}


def data_sha256(path: Path) -> str:
    """Return the hash of a data file, or of all files of a folder (brat's) in order."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return sha256(b"".join(sha256(file.read_bytes()).encode() for file in files))
    return sha256(path.read_bytes())
