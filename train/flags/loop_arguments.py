"""Owns the flags that every command which trains has; the defaults are those of its settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.config import Arithmetic, LoopConfig, Schedule
from train.flags.numbers import at_least, between, positive, seed


def add_loop(group: argparse._ArgumentGroup, default: LoopConfig, *, rows: str, score: str) -> None:
    """Add what says how a loop trains.

    Args:
        group: Where the flags are shown.
        default: Has their defaults.
        rows: What a batch is made of.
        score: What training goes on for.
    """
    add = group.add_argument
    text = f"epochs without {score} before stopping ({default.patience})"
    add("--patience", type=at_least(1), default=default.patience, metavar="N", help=text)
    text = f"{rows} a step, on all processes together ({default.batch_size})"
    add("--batch-size", type=at_least(1), default=default.batch_size, metavar="N", help=text)
    text = f"peak of the schedule ({default.learning_rate})"
    add("--learning-rate", type=positive, default=default.learning_rate, metavar="R", help=text)
    text = f"the learning rate after its warm-up ({default.schedule})"
    add("--schedule", type=Schedule, choices=list(Schedule), default=default.schedule, help=text)
    text = f"share of the steps over which the learning rate rises ({default.warmup:g})"
    add("--warmup", type=between(0, 1), default=default.warmup, metavar="R", help=text)
    text = f"of matrices ({default.weight_decay:g})"
    add("--weight-decay", type=between(0, 1), default=default.weight_decay, metavar="R", help=text)
    text = f"same seed, same result on a CPU ({default.seed})"
    add("--seed", type=seed, default=default.seed, metavar="N", help=text)


def add_machine(group: argparse._ArgumentGroup, default: LoopConfig) -> None:
    """Add what suits training to a machine and to those who watch it."""
    add = group.add_argument
    text = "of matrix products (bf16 where the hardware has it)"
    names, arithmetic = list(Arithmetic), default.arithmetic
    add("--arithmetic", type=Arithmetic, choices=names, default=arithmetic, help=text)
    text = f"parts a step is computed in, to save memory ({default.accumulate})"
    add("--accumulate", type=at_least(1), default=default.accumulate, metavar="N", help=text)
    text = "compute each layer again on the way back, to save memory"
    add("--checkpoint-gradients", action="store_true", help=text)
    save_every_s = default.save_every_s
    text = f"seconds between savings: what a crash loses of training at most ({save_every_s:g})"
    add("--save-every-s", type=between(0, 1e6), default=save_every_s, metavar="S", help=text)
    text = "go on with an interrupted run, where its last state was saved"
    add("--resume", action="store_true", help=text)
    add("--tensorboard", type=Path, metavar="DIR", help="write events for TensorBoard there")
    add("--json", action="store_true", help="print JSON instead of text")
