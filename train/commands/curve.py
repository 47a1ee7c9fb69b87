"""Draw learning curves: how good a tagger gets with how many labelled lines.

For each size as many draws as asked for train with lines and a seed of their own, smaller draws
inside larger ones; mean and spread go into a table and a picture. Every run knows all labels of the
train lines, and the best epoch is chosen on dev, whose F1 is shown, so that it is slightly high;
test lines are looked at with --score-test only. Each run is written down when it ends: called
again, the command makes those that are missing.

With --strategy curves of several ways to train are drawn, each with flags of python -m train. With
--pick random select the lines of each further size are also picked by the tagger of the size before
(see python -m train select), and the table says how many random lines would have been needed.

Examples:
  python -m train curve --data my/lines
  python -m train curve --data my/lines --sizes 50,100,all --draws 3 --json
  python -m train curve --data my/lines --strategy 'head=--method head' --strategy full=
  python -m train curve --data my/lines --sizes 50,100,250,500 --pick random select

exit status: 0 drawn, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serve.commands import command_parser, deliver, exit_status, say
from train.config import TrainConfig
from train.curve.config import SIZES, CurveConfig, Pick, Strategy
from train.flags.arguments import add_training_arguments, training_config
from train.flags.numbers import at_least

_ALL = "all"
_NOT_OF_A_CURVE = ("output", "seed", "resume", "tensorboard", "save_every_s")
"""Settings of a single run; a curve's runs are drawn, seeded and kept by the curve."""
_OF_ALL_CURVES = ("data", "train", "dev", "test", "format", "label_level", "overlaps", "label_map",
                  "json", *_NOT_OF_A_CURVE)  # fmt: skip
"""Settings that a strategy has no say in."""


def parse_args(argv: Sequence[str]) -> CurveConfig:
    """Return the command line as a config."""
    parser = command_parser("train curve", __doc__)
    default = CurveConfig(strategies=())
    add = parser.add_argument_group("curve").add_argument
    text = f"numbers of lines, apart by commas, all for all ({_sizes_text(SIZES)})"
    add("--sizes", type=_sizes, default=default.sizes, metavar="N,N,all", help=text)
    text = f"runs of each size ({default.draws})"
    add("--draws", type=at_least(1), default=default.draws, metavar="N", help=text)
    text = "a way to train and its flags; several for several curves (default=, the flags below)"
    add("--strategy", action="append", default=[], metavar="NAME=FLAGS", help=text)
    text = "lines at random, or picked by the tagger of the size before (random)"
    add("--pick", type=Pick, choices=list(Pick), nargs="+", default=default.picks, help=text)
    text = f"folder of the runs and the picture ({default.folder})"
    add("--curve", type=Path, default=default.folder, metavar="DIR", help=text)
    add("--score-test", action="store_true", help="look at test, too: for the last run")
    add_training_arguments(parser)
    values = vars(parser.parse_args(argv))
    own = {name: values.pop(name) for name in ("sizes", "draws", "curve", "score_test")}
    texts, picks = values.pop("strategy") or ["default="], values.pop("pick")
    base = training_config(parser, dict(values))
    message = (
        "expected no such flag for a curve; it seeds its runs itself and keeps them in --curve"
    )
    _check_same(parser, base, TrainConfig(), _NOT_OF_A_CURVE, message)
    strategies = tuple(_strategy(parser, text, values, base) for text in texts)
    if len({strategy.name for strategy in strategies}) < len(strategies):
        parser.error("--strategy: expected each name once; its runs are kept by it")
    return CurveConfig(
        strategies=strategies,
        picks=tuple(dict.fromkeys(picks)),
        folder=own.pop("curve"),
        json=base.json,
        **own,
    )


def main(argv: Sequence[str]) -> int:
    """Make the runs, print the table, return the exit status."""
    config = parse_args(argv)

    def draw() -> int:
        # Late, so that --help and usage errors need no PyTorch.
        from train.curve.execute import RUNS, run_curve
        from train.curve.plot import plot
        from train.curve.summary import summary
        from train.curve.text import curve_text

        runs = run_curve(config)
        steps = summary(runs)
        picture = config.folder / "curve.png"
        plot(runs, picture)
        say(f"runs: {config.folder / RUNS}, picture: {picture}")
        deliver(
            json.dumps(list(map(asdict, steps)), indent=2) if config.json else curve_text(steps)
        )
        return 0

    return exit_status(draw, interrupted="interrupted; the same command goes on")


def _strategy(
    parser: argparse.ArgumentParser, text: str, base: dict[str, Any], base_config: TrainConfig
) -> Strategy:
    """Return a strategy: the base's settings with some flags of its own."""
    name, sign, flags = text.partition("=")
    if not sign or not name.strip():
        parser.error(f"argument --strategy: expected NAME=FLAGS, got {text!r}")
    flag_parser = argparse.ArgumentParser(prog=f"{parser.prog}: --strategy {name}", add_help=False)
    add_training_arguments(flag_parser)
    values = flag_parser.parse_args(_split(parser, flags), argparse.Namespace(**base))
    config = training_config(flag_parser, vars(values))
    message = "expected outside of --strategy, got inside"
    _check_same(parser, config, base_config, _OF_ALL_CURVES, message)
    return Strategy(name.strip(), config)


def _check_same(
    parser: argparse.ArgumentParser,
    config: TrainConfig,
    other: TrainConfig,
    settings: Sequence[str],
    message: str,
) -> None:
    for setting in settings:
        if getattr(config, setting) != getattr(other, setting):
            parser.error(f"argument --{setting.replace('_', '-')}: {message}")


def _split(parser: argparse.ArgumentParser, flags: str) -> list[str]:
    try:
        return shlex.split(flags)
    except ValueError as error:
        parser.error(f"argument --strategy: expected flags, got {flags!r}: {error}")


def _sizes(text: str) -> tuple[int | None, ...]:
    sizes = [
        None if part.strip() == _ALL else at_least(1)(part.strip()) for part in text.split(",")
    ]
    return tuple(sorted(dict.fromkeys(sizes), key=lambda size: (size is None, size or 0)))


def _sizes_text(sizes: Sequence[int | None]) -> str:
    return ",".join(_ALL if size is None else str(size) for size in sizes)
