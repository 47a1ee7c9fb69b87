"""Owns what an interrupted run leaves behind: everything needed to go on as if nothing happened.

One safetensors file beside the checkpoint, replaced whole after each epoch; its header carries the
rest as JSON. Frozen weights are left out: the base model has them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from serve.errors import CheckpointError

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training lines brought.

    Attributes:
        number: From 1.
        loss: Mean cross-entropy of the trained tokens, in nats.
        dev_f1: Micro entity F1 on the dev lines, in [0, 1].
    """

    number: int
    loss: float
    dev_f1: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """A run between two epochs.

    Attributes:
        run: Identifies settings, data and base model; see `train.fit`.
        history: The epochs so far.
        weights: The trained weights, by name.
        best: The weights of the best epoch so far.
        optimizer: The optimizer's tensors, as `index.name`.
    """

    run: str
    history: tuple[Epoch, ...]
    weights: Weights
    best: Weights
    optimizer: Weights


def state_path(output: Path) -> Path:
    """Return where the state of a run with this output lies."""
    return output.with_name(f"{output.name}.resume.safetensors")


def save_state(path: Path, state: TrainingState) -> None:
    """Write a state, whole or not at all.

    Raises:
        CheckpointError: If it cannot be written.
    """
    tensors = {
        f"{part}/{name}": tensor.detach().cpu().contiguous()
        for part in ("weights", "best", "optimizer")
        for name, tensor in getattr(state, part).items()
    }
    header = {"run": state.run, "history": json.dumps([asdict(epoch) for epoch in state.history])}
    staging = path.with_name(f".{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(tensors, staging, metadata=header)
        staging.replace(path)
    except (SafetensorError, OSError) as error:
        staging.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: expected to write the state of the run, got {error}; make room there, or "
            "choose another --output"
        ) from error


def load_state(path: Path, run: str) -> TrainingState | None:
    """Return the state an interrupted run left, None where there is none.

    Raises:
        CheckpointError: If the file is damaged or belongs to a run of other settings or data.
    """
    if not path.is_file():
        return None
    parts: dict[str, Weights] = {"weights": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118 (no mapping)
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
        history = tuple(Epoch(**row) for row in json.loads(header["history"]))
        found = header["run"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected the state of a run, got {error}; start again without --resume"
        ) from error
    if found != run:
        raise CheckpointError(
            f"{path}: expected the state of a run with the same settings, data and model, got "
            "another's; start again without --resume"
        )
    return TrainingState(found, history, **parts)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Weights:
    """Return an optimizer's state as tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, row in state.items() for name, value in row.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Weights) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, Weights] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
