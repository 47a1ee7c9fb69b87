"""Owns what an interrupted run leaves behind: everything needed to go on as if nothing happened.

One safetensors file beside the checkpoint, replaced whole and forced onto the disk; its header
carries the rest as JSON. Frozen weights are left out: the base model has them. Chance is not in it:
it is seeded anew at each step, see `train.loop.fit`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from serve.errors import CheckpointError
from serve.files import sync
from train.config import state_path
from train.loop.alone import alone_in, is_first_process

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training lines brought.

    Attributes:
        number: From 1.
        loss: Mean loss of the trained tokens, in nats.
        score: What the best epoch is chosen by: in fine-tuning micro entity F1 on the dev lines, in
            [0, 1].
    """

    number: int
    loss: float
    score: float


@dataclass(frozen=True, slots=True)
class Underway:
    """How far an epoch has come that is not done.

    Attributes:
        num_steps: Steps done.
        loss: Summed over the tokens trained, in nats.
        num_trained: Those tokens.
    """

    num_steps: int = 0
    loss: float = 0.0
    num_trained: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """A run between two steps.

    Attributes:
        run: Identifies settings, data and base model; see `train.record`.
        history: The epochs that are done.
        weights: The trained weights, by name.
        best: The weights of the best epoch so far; empty before the first is done.
        optimizer: The optimizer's tensors, as `index.name`.
        underway: The epoch after them, as far as it has come.
        scaler: State of FP16's loss scaling; empty in other formats.
    """

    run: str
    history: tuple[Epoch, ...]
    weights: Weights
    best: Weights
    optimizer: Weights
    underway: Underway = field(default=Underway())
    scaler: dict[str, float] = field(default_factory=dict)


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
    header = {
        "run": state.run,
        "history": json.dumps([asdict(epoch) for epoch in state.history]),
        "underway": json.dumps(asdict(state.underway)),
        "scaler": json.dumps(state.scaler),
    }
    making = _making(path)
    is_held = making.is_dir()  # then it is what keeps others away
    try:
        making.mkdir(parents=True, exist_ok=True)
        _empty(making)  # of what a kill left: safetensors writes under a name that it makes up
        save_file(tensors, staging := making / path.name, metadata=header)
        sync(staging)
        staging.replace(path)
        sync(path.parent)
    except (SafetensorError, OSError) as error:
        _empty(making, stays=is_held)
        raise CheckpointError(
            f"{path}: expected to write the state of the run, got {error}; make room there, or "
            "choose another --output"
        ) from error
    _empty(making, stays=is_held)


@contextmanager
def holding(output: Path) -> Iterator[None]:
    """Keep other runs with an output away, whose states would take the place of this one's.

    The first of a run's processes does so for all of them. The folder in which states are made is
    what they meet at; it is gone afterwards, with parents that had to be made and hold nothing.

    Raises:
        CheckpointError: At once, if another run is at work.
    """
    making = _making(state_path(output))
    missing = [folder for folder in making.parents if not folder.exists()]
    with ExitStack() as stack:
        if is_first_process():
            stack.enter_context(alone_in(making, "--output", named=output))
            stack.callback(_remove, making, missing)
        yield


def _remove(making: Path, parents: Sequence[Path]) -> None:
    shutil.rmtree(making, ignore_errors=True)
    for folder in parents:
        with suppress(OSError):  # what is in it stays
            folder.rmdir()


def clear(path: Path) -> None:
    """Remove a state that nobody goes on with."""
    path.unlink(missing_ok=True)


def _empty(making: Path, *, stays: bool = True) -> None:
    """Remove what was left of a state in the making; some hundred MB a time would fill a disk."""
    with suppress(OSError):
        for left in making.iterdir():
            left.unlink()
        if not stays:
            making.rmdir()


def _making(path: Path) -> Path:
    """Return the folder in which a state is made, and which a run locks."""
    return path.with_name(f".{path.name}.making")


def set_aside(path: Path) -> Path | None:
    """Move a state that is not gone on with to where no run writes; return where, None if nowhere.

    The last one is kept so. One that cannot be moved will be replaced: it must not stop a run.
    """
    if not path.is_file():
        return None
    aside = path.with_name(f"{path.name}.previous")
    try:
        path.replace(aside)
    except OSError:
        return None
    return aside


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
        underway = Underway(**json.loads(header["underway"]))
        found, scaler = header["run"], json.loads(header["scaler"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected the state of a run, got {error}; start again without --resume"
        ) from error
    if found != run:
        raise CheckpointError(
            f"{path}: expected the state of a run with the same settings, data and model, got "
            "another's; start again without --resume"
        )
    return TrainingState(found, history, **parts, underway=underway, scaler=scaler)


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
