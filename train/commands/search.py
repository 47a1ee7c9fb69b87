"""Look for the settings of a training run that give the best dev F1, with Optuna.

Each trial trains once with settings drawn from the space and is stopped early when it falls behind
the others. The study lies in an SQLite file: called again, the command goes on where it was, also
after an interruption, until there are as many trials as asked for. Test lines are never looked at.
The best dev F1 of many trials flatters: train the best settings with other seeds before you believe
them.

Examples:
  python -m train search --data my/lines --trials 20
  python -m train search --data my/lines --trials 40            goes on with the study
  python -m train search --data my/lines --space my/space.toml --search build/wide --json

exit status: 0 searched, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from train.flags.arguments import add_training_arguments, training_config
from train.flags.numbers import at_least
from train.search.config import SearchConfig
from train.search.space import DEFAULT_SPACE


def parse_args(argv: Sequence[str]) -> SearchConfig:
    """Return the command line as a config."""
    parser = command_parser("train search", __doc__)
    add = parser.add_argument_group("search").add_argument
    text = f"trials the study is to have in the end ({SearchConfig.trials})"
    add("--trials", type=at_least(1), default=SearchConfig.trials, metavar="N", help=text)
    text = f"TOML of the settings to search ({DEFAULT_SPACE.name}, printed below the table)"
    add("--space", type=Path, default=SearchConfig.space, metavar="FILE", help=text)
    text = f"the study, its table and its picture ({SearchConfig.search})"
    add("--search", type=Path, default=SearchConfig.search, metavar="DIR", help=text)
    add_training_arguments(parser)
    values = vars(parser.parse_args(argv))
    return SearchConfig(training=training_config(parser, values), **values)


def main(argv: Sequence[str]) -> int:
    """Search, print the trials, return the exit status."""
    config = parse_args(argv)

    def search() -> int:
        # Late, so that --help and usage errors need neither PyTorch nor Optuna.
        from train.search.run import PICTURE, TABLE, run_search
        from train.search.trials import format_outcome

        found = run_search(config)
        deliver(
            json.dumps(asdict(found), indent=2) if config.training.json else format_outcome(found)
        )
        say(f"study: {config.search}, with {TABLE} and {PICTURE}")
        return 0

    return exit_status(search, interrupted="interrupted; the same command goes on")
