"""Owns the command line of fine-tuning: flags to settings, each default read from the settings."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from train.config import Decoder, Method, OptimizerName, TrainConfig
from train.flags.clash import clash
from train.flags.loop_arguments import add_loop, add_machine
from train.flags.numbers import at_least, between
from train.formats.arguments import add_mapped_reading

_DEFAULT = TrainConfig()


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every flag of fine-tuning, for commands that fine-tune too."""
    files = parser.add_argument_group("data and model")
    _add_files(files)
    add_mapped_reading(files)
    _add_training(parser.add_argument_group("training"))
    _add_strategy(parser.add_argument_group("what is trained, and how"))
    add_machine(parser.add_argument_group("machine"), _DEFAULT)


def training_config(parser: argparse.ArgumentParser, values: dict[str, Any]) -> TrainConfig:
    """Take the settings of fine-tuning out of parsed values; leave with status 2 if they clash."""
    config = TrainConfig(**{field.name: values.pop(field.name) for field in fields(TrainConfig)})
    if message := clash(config):
        parser.error(message)
    return config


def _add_files(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of the splits (the sample corpus)")
    for split in ("train", "dev", "test"):
        add(f"--{split}", type=Path, metavar="FILE", help=f"{split} lines, instead of DIR's")
    text = f"base model: a folder or a name on the Hugging Face hub ({_DEFAULT.model})"
    add("--model", default=_DEFAULT.model, metavar="NAME", help=text)
    text = f"the checkpoint ({_DEFAULT.output})"
    add("--output", type=Path, default=_DEFAULT.output, metavar="DIR", help=text)


def _add_training(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    text = "passes over the train lines, at most (more for a small corpus)"
    add("--epochs", type=at_least(1), metavar="N", help=text)
    text = "train all tokens of a word, not only the one serving reads"
    add("--label-all-tokens", action="store_true", help=text)
    add_loop(group, _DEFAULT, rows="sequences", score="a better dev F1")


def _add_strategy(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    what = "the encoder and the head, the head only, or low-rank additions merged at the end"
    text = f"{what} ({_DEFAULT.method})"
    add("--method", type=Method, choices=list(Method), default=_DEFAULT.method, help=text)
    text = "freeze all embeddings and the first N layers (the word embeddings only)"
    add("--freeze-layers", type=at_least(0), metavar="N", help=text)
    text = f"rank of LoRA's additions ({_DEFAULT.lora_rank})"
    add("--lora-rank", type=at_least(1), default=_DEFAULT.lora_rank, metavar="N", help=text)
    text = f"learning rate of each layer by that of the one above ({_DEFAULT.layer_decay:g})"
    default = _DEFAULT.layer_decay
    add("--layer-decay", type=between(0.01, 1), default=default, metavar="R", help=text)
    names, default_optimizer = list(OptimizerName), _DEFAULT.optimizer
    text = f"what takes the steps ({default_optimizer})"
    add("--optimizer", type=OptimizerName, choices=names, default=default_optimizer, help=text)
    add("--dropout", type=between(0, 0.9), metavar="R", help="everywhere (the base model's own)")
    text = f"share of the words hidden from the model in training ({_DEFAULT.word_dropout:g})"
    default = _DEFAULT.word_dropout
    add("--word-dropout", type=between(0, 0.9), default=default, metavar="R", help=text)
    text = f"share of a target that all tags get alike ({_DEFAULT.label_smoothing:g})"
    default = _DEFAULT.label_smoothing
    add("--label-smoothing", type=between(0, 0.9), default=default, metavar="R", help=text)
    text = "0 to weigh all words alike, up to 1 to weigh all tags alike, however rare (0)"
    default = _DEFAULT.class_weights
    add("--class-weights", type=between(0, 1), default=default, metavar="R", help=text)
    text = f"each word's best tag, the best well-formed tags, or a CRF's ({_DEFAULT.decoder})"
    add("--decoder", type=Decoder, choices=list(Decoder), default=_DEFAULT.decoder, help=text)
