"""Owns the command line of fine-tuning: flags to settings, each default read from the settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from train.config import Arithmetic, Decoder, Method, OptimizerName, Schedule, TrainConfig
from train.formats.arguments import add_reading
from train.numbers import at_least, between, positive, seed

_DEFAULT = TrainConfig()


def parse_args(documentation: str | None, argv: Sequence[str] | None = None) -> TrainConfig:
    """Return the settings the arguments ask for; leave with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = parser.add_argument_group("data and model")
    _add_files(files)
    add_reading(files)
    _add_training(parser.add_argument_group("training"))
    _add_strategy(parser.add_argument_group("what is trained, and how"))
    _add_machine(parser.add_argument_group("machine"))
    config = TrainConfig(**vars(parser.parse_args(argv)))
    if config.label_all_tokens and config.decoder is Decoder.CRF:
        parser.error("--label-all-tokens: expected another --decoder: a CRF's chain is of words")
    if config.decoder is Decoder.CRF and (config.label_smoothing or config.class_weights):
        parser.error("--label-smoothing, --class-weights: expected another --decoder than crf")
    if config.method is Method.LORA and config.freeze_layers is not None:
        parser.error("--freeze-layers: expected another --method: LoRA freezes every layer")
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
    add("--tensorboard", type=Path, metavar="DIR", help="write events for TensorBoard there")
    add("--json", action="store_true", help="print the figures as JSON")


def _add_training(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    text = "passes over the train lines, at most (more for a small corpus)"
    add("--epochs", type=at_least(1), metavar="N", help=text)
    text = f"epochs without a better dev F1 before stopping ({_DEFAULT.patience})"
    add("--patience", type=at_least(1), default=_DEFAULT.patience, metavar="N", help=text)
    text = f"sequences a step, on all processes together ({_DEFAULT.batch_size})"
    add("--batch-size", type=at_least(1), default=_DEFAULT.batch_size, metavar="N", help=text)
    text = f"peak of the schedule ({_DEFAULT.learning_rate})"
    add("--learning-rate", type=positive, default=_DEFAULT.learning_rate, metavar="R", help=text)
    text = "train all tokens of a word, not only the one serving reads"
    add("--label-all-tokens", action="store_true", help=text)
    text = f"same seed, same checkpoint on a CPU ({_DEFAULT.seed})"
    add("--seed", type=seed, default=_DEFAULT.seed, metavar="N", help=text)
    text = f"most seconds of training that a crash loses ({_DEFAULT.save_every_s:g})"
    default = _DEFAULT.save_every_s
    add("--save-every-s", type=between(0, 1e6), default=default, metavar="S", help=text)
    text = "go on with an interrupted run, where its last state was saved"
    add("--resume", action="store_true", help=text)


def _add_strategy(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    text = "the encoder and the head, the head only, or low-rank additions, merged at the end"
    add("--method", type=Method, choices=list(Method), default=_DEFAULT.method, help=text)
    text = "freeze all embeddings and the first N layers (the word embeddings only)"
    add("--freeze-layers", type=at_least(0), metavar="N", help=text)
    text = f"rank of LoRA's additions ({_DEFAULT.lora_rank})"
    add("--lora-rank", type=at_least(1), default=_DEFAULT.lora_rank, metavar="N", help=text)
    text = f"learning rate of each layer by that of the one above ({_DEFAULT.layer_decay:g})"
    default = _DEFAULT.layer_decay
    add("--layer-decay", type=between(0.01, 1), default=default, metavar="R", help=text)
    names, default_optimizer = list(OptimizerName), _DEFAULT.optimizer
    add("--optimizer", type=OptimizerName, choices=names, default=default_optimizer)
    text = f"the learning rate after its warm-up ({_DEFAULT.schedule})"
    add("--schedule", type=Schedule, choices=list(Schedule), default=_DEFAULT.schedule, help=text)
    text = f"share of the steps over which the learning rate rises ({_DEFAULT.warmup:g})"
    add("--warmup", type=between(0, 1), default=_DEFAULT.warmup, metavar="R", help=text)
    text = f"of matrices ({_DEFAULT.weight_decay:g})"
    add("--weight-decay", type=between(0, 1), default=_DEFAULT.weight_decay, metavar="R", help=text)
    add("--dropout", type=between(0, 0.9), metavar="R", help="everywhere (the base model's own)")
    text = f"share of a target that all tags get alike ({_DEFAULT.label_smoothing:g})"
    default = _DEFAULT.label_smoothing
    add("--label-smoothing", type=between(0, 0.9), default=default, metavar="R", help=text)
    text = "0 to weigh all words alike, up to 1 to weigh all tags alike, however rare (0)"
    default = _DEFAULT.class_weights
    add("--class-weights", type=between(0, 1), default=default, metavar="R", help=text)
    text = f"each word's best tag, the best well-formed tags, or a CRF's ({_DEFAULT.decoder})"
    add("--decoder", type=Decoder, choices=list(Decoder), default=_DEFAULT.decoder, help=text)


def _add_machine(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    text = "of matrix products (bf16 where the hardware has it)"
    names, default = list(Arithmetic), _DEFAULT.arithmetic
    add("--arithmetic", type=Arithmetic, choices=names, default=default, help=text)
    text = f"parts a step is computed in, to save memory ({_DEFAULT.accumulate})"
    add("--accumulate", type=at_least(1), default=_DEFAULT.accumulate, metavar="N", help=text)
    text = "compute each layer again on the way back, to save memory"
    add("--checkpoint-gradients", action="store_true", help=text)
