"""Fine-tune a BERT into a tagger: labelled lines in, a checkpoint and its figures out.

To begin with:
  python -m train                                   the sample corpus, the packaged base model
  python -m train --data my/lines                   train, dev (or valid) and test found by name
  python -m train --data my/lines --model bert-base-uncased --output build/base
  python -m train --train a.conll --test b.jsonl --label-map Event=,Obs=Observation

Files are columns (a word and its tag a line, empty lines between sentences; IOB1, IOB2, BIOES and
others), JSON with character spans (spaCy, Prodigy, doccano), Label Studio's JSON, brat's folders or
MaintIE's JSON; which one is found out and said. Without a dev file a tenth of the train lines
serves. Figures go to stdout, everything else to stderr.

Other commands, each with its own --help:
  python -m train check my/lines                    lint a corpus
  python -m train convert tasks.json lines.conll    from any format to any other
  python -m train split lines.jsonl --output parts  into train, dev and test
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from serve.errors import TaggingError
from train.config import MAX_SEED, TrainConfig
from train.formats.arguments import add_reading

COMMANDS: dict[str, str] = {
    "check": "train.commands.check",
    "convert": "train.commands.convert",
    "split": "train.commands.split",
}
"""Commands by first argument: the module whose `main` takes the rest."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say, or run a command; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("train").setLevel(logging.INFO)
    # OpenMP's threads spin while they wait; on a machine that does anything else besides, sleeping
    # made a step two to six times faster (2 cores). Read when PyTorch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if arguments and arguments[0] in COMMANDS:
        return int(import_module(COMMANDS[arguments[0]]).main(arguments[1:]))
    config = parse_args(arguments)
    try:
        # Late for that reason, and so that --help and usage errors need no PyTorch.
        from train.pipeline import run
        from train.report import evaluation_json, format_evaluation

        evaluations = run(config)
    except ModuleNotFoundError as error:
        print(
            f"error: expected the package {error.name}, got none installed; "
            "pip install 'linetag[train]'",
            file=sys.stderr,
        )
        return 1
    except (TaggingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; go on with --resume", file=sys.stderr)
        return 1
    if config.json:
        print(json.dumps({name: evaluation_json(e) for name, e in evaluations.items()}, indent=2))
    else:
        print("\n".join(format_evaluation(name, e) for name, e in evaluations.items()))
    logging.getLogger("train").info("checkpoint: %s", config.output)
    return 0


def parse_args(argv: Sequence[str] | None = None) -> TrainConfig:
    """Return the settings the arguments ask for; leave with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser, TrainConfig())
    _add_training(parser, TrainConfig())
    return TrainConfig(**vars(parser.parse_args(argv)))


def _add_files(parser: argparse.ArgumentParser, default: TrainConfig) -> None:
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of the splits (the sample corpus)")
    for split in ("train", "dev", "test"):
        add(f"--{split}", type=Path, metavar="FILE", help=f"{split} lines, instead of DIR's")
    add_reading(parser)
    text = f"base model: a folder or a name on the Hugging Face hub ({default.model})"
    add("--model", default=default.model, metavar="NAME", help=text)
    text = f"the checkpoint ({default.output})"
    add("--output", type=Path, default=default.output, metavar="DIR", help=text)
    add("--json", action="store_true", help="print the figures as JSON")


def _add_training(parser: argparse.ArgumentParser, default: TrainConfig) -> None:
    add = parser.add_argument
    text = "passes over the train lines, at most (more for a small corpus)"
    add("--epochs", type=_at_least(1), metavar="N", help=text)
    text = f"epochs without a better dev F1 before stopping ({default.patience})"
    add("--patience", type=_at_least(1), default=default.patience, metavar="N", help=text)
    text = f"sequences a step ({default.batch_size})"
    add("--batch-size", type=_at_least(1), default=default.batch_size, metavar="N", help=text)
    text = f"peak of the schedule ({default.learning_rate})"
    add("--learning-rate", type=_positive, default=default.learning_rate, metavar="R", help=text)
    text = "freeze all embeddings and the first N layers (the word embeddings only)"
    add("--freeze-layers", type=_at_least(0), metavar="N", help=text)
    text = "train all tokens of a word, not only the one serving reads"
    add("--label-all-tokens", action="store_true", help=text)
    text = f"same seed, same checkpoint on a CPU ({default.seed})"
    add("--seed", type=_seed, default=default.seed, metavar="N", help=text)
    text = "go on after the last epoch of an interrupted run"
    add("--resume", action="store_true", help=text)


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"expected a number of at least {minimum}, got {text}")
        return int(text)

    return parse


def _seed(text: str) -> int:
    seed = _at_least(0)(text)
    if seed > MAX_SEED:
        raise argparse.ArgumentTypeError(f"expected a number of at most {MAX_SEED}, got {text}")
    return seed


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
