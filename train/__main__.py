"""Fine-tune a BERT into a tagger: labelled lines in, a checkpoint and its figures out.

To begin with:
  python -m train                                   the sample corpus, the packaged base model
  python -m train --data my/lines                   train, dev (or valid) and test found by name
  python -m train --data my/lines --model bert-base-uncased --output build/base
  python -m train --train a.conll --test b.jsonl --label-map Event=,Obs=Observation

Files are columns (a word and its tag a line, empty lines between sentences; IO, IOB1, IOB2, IOE1,
IOE2, BIOES, BILOU, BMES or BMEWO), JSON with character spans (spaCy, Prodigy, doccano), Label
Studio's JSON, brat's folders or MaintIE's JSON; which one is found out and said. Without a dev file
a tenth of the train lines serves. Figures go to stdout, everything else to stderr.

Other commands, each with its own --help:
  python -m train check     lint a corpus
  python -m train convert   labelled lines from any format to any other
  python -m train split     one file into train, dev and test
  python -m train curve     F1 by number of labelled lines
  python -m train select    which lines to label next
  python -m train adapt     the domain's language from raw lines, for a base model
  python -m train search    settings, with Optuna
  python -m train distil    several taggers, or a larger one, into one
  python -m train refit     a successor from new lines, if it is better
  python -m train drift     whether a refit is due
  python -m train evaluate  what a tagger gets right, and what not
  python -m train explain   which words made it choose an entity

exit status: 0 trained, 1 refused or interrupted (one line says why), 2 wrong usage
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from serve.commands import command_parser, exit_status, importing, say, write_utf8
from serve.errors import lacking
from serve.events import PrintableFormatter
from serve.running.cores import num_cores
from train.config import TrainConfig
from train.flags.arguments import add_training_arguments, training_config
from train.loop.alone import is_first_process
from train.loop.interrupts import going_on

COMMANDS = (
    "adapt", "check", "convert", "curve", "distil", "drift", "evaluate", "explain", "refit",
    "search", "select", "split",
)  # fmt: skip
"""Commands by first argument: the modules of `train.commands` whose `main` takes the rest."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say, or run a command; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    write_utf8()
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(handlers=[handler])
    logging.getLogger("train").setLevel(logging.INFO if is_first_process() else logging.ERROR)
    # OpenMP's threads spin while they wait for each other. For long, as is its default, that ruins
    # a machine that does anything else besides; not at all, as they then must be woken a thousand
    # times a step, costs two thirds more time alone (2 cores: 99 ms a step, 59 with some 10 us of
    # spinning, which is also 8 % faster beside two busy processes). Read when PyTorch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    if (most := num_cores()) < len(os.sched_getaffinity(0)):  # PyTorch sees no container's quota
        os.environ.setdefault("OMP_NUM_THREADS", str(most))
    try:
        if arguments and arguments[0] in COMMANDS:
            with importing():
                command = import_module(f"train.commands.{arguments[0]}")
            return int(command.main(arguments[1:]))
        return exit_status(partial(_fine_tune, parse_args(arguments)))
    except ModuleNotFoundError as error:
        say(f"error: {lacking(error, 'train')}")
        return 1


def _fine_tune(config: TrainConfig) -> int:
    with going_on(config.output, resume=config.resume):
        # Late for OpenMP's reason, and so that --help and usage errors need no PyTorch.
        from train.pipeline import run
        from train.scores.report import show

        show(run(config), config)
    return 0


def parse_args(argv: Sequence[str] | None = None) -> TrainConfig:
    """Return the settings the arguments ask for; leave with status 2 if they are wrong."""
    parser = command_parser("train", __doc__)
    add_training_arguments(parser)
    return training_config(parser, vars(parser.parse_args(argv)))


if __name__ == "__main__":
    raise SystemExit(main())
