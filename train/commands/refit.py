r"""Train a challenger on new lines, and let it take the champion's place only if it is better.

The challenger starts from the champion and learns the new train lines and the old, which the
champion's checkpoint carries. Then both are asked the old and the new test lines. It is accepted if
it wins over both tests together, and loses more than the allowance nowhere: on neither test, on no
label of either, chance set aside. Labels that were mixed up are refused: the old test tells, and
what the champion calls the spans that both mark.

New lines are a folder of splits or a file; without a dev or test file, shares of the train lines
serve. Lines with errors are set aside, lines that would leak left out. A slice that is refused for
want of a win can be offered again together with the next: --new NOVEMBER DECEMBER.

The output folder is new: decision.json, decision.txt and, if accepted, the challenger's checkpoint
and its bundle, with the graphs that the champion has. The champion is never touched.

Examples:
  python -m train refit --champion build/bundle --new my/december
  python -m train refit --champion build/bundle --new my/december.jsonl --output build/2026-12
  python -m train refit --champion build/2026-12/bundle --new my/january --output build/2027-01 \
      --publish model_repository
  python -m train refit --champion build/bundle --new my/december --allowance 0.5 --json

exit status: 0 accepted, 1 refused or not possible (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from serve.commands.versions import told
from train.config import TrainConfig
from train.flags.loop_arguments import add_loop, add_machine
from train.flags.numbers import at_least, between
from train.formats.arguments import add_mapped_reading
from train.loop.interrupts import going_on
from train.refit.config import EPOCHS, MAX_REPLAY, RefitConfig
from train.refit.gate import Rule

OUTPUT = Path("build/refit")


def parse_args(argv: Sequence[str]) -> RefitConfig:
    """Return the command line as a config."""
    parser = command_parser("train refit", __doc__)
    default, rule = TrainConfig(), Rule()
    add = parser.add_argument
    add("--champion", type=Path, required=True, metavar="BUNDLE", help="the bundle that serves")
    text = "what it was exported from (beside the bundle, by its name)"
    add("--checkpoint", type=Path, metavar="DIR", help=text)
    text = "new labelled lines: folders of splits, or files"
    add("--new", type=Path, nargs="+", required=True, metavar="DATA", help=text)
    text = f"most old train lines to learn again ({MAX_REPLAY})"
    add("--replay", type=at_least(0), default=MAX_REPLAY, metavar="N", help=text)
    text = f"largest loss of F1 that is let pass, in points ({rule.allowance_points:g})"
    add("--allowance", type=between(0, 100), default=rule.allowance_points, metavar="POINTS",
        help=text)  # fmt: skip
    text = f"largest p-value of a difference that is taken for real ({rule.significance:g})"
    add("--significance", type=between(0.01, 0.5), default=rule.significance, metavar="P",
        help=text)  # fmt: skip
    add("--output", type=Path, default=OUTPUT, metavar="DIR", help=f"a new folder ({OUTPUT})")
    text = "publish an accepted challenger into this model repository"
    add("--publish", type=Path, metavar="REPOSITORY", help=text)
    add_mapped_reading(parser.add_argument_group("new lines"))
    training = parser.add_argument_group("training")
    text = f"passes over the train lines, at most ({EPOCHS})"
    training.add_argument("--epochs", type=at_least(1), metavar="N", help=text)
    add_loop(training, default, rows="sequences", score="a better dev F1")
    add_machine(parser.add_argument_group("machine"), default)
    values = vars(parser.parse_args(argv))
    own = {name: values.pop(name) for name in ("champion", "checkpoint", "replay", "publish")}
    decided = Rule(values.pop("allowance"), values.pop("significance"))
    new = tuple(values.pop("new"))
    return RefitConfig(**own, new=new, rule=decided, training=TrainConfig(**values))


def main(argv: Sequence[str]) -> int:
    """Train, compare, print the figures, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: RefitConfig) -> int:
    # Late, so that --help and usage errors need no PyTorch.
    from train.refit.pipeline import published, refit

    with going_on(config.training.output, resume=config.training.resume):
        decision = refit(config)
    try:
        decision = published(decision)
    finally:
        deliver(decision.to_json().rstrip() if config.training.json else decision.to_text())
    if not decision.verdict.accepted:
        say(f"error: {decision.outcome}")
        return 1
    say(f"challenger: {config.training.output}")
    if config.publish and decision.published:
        say(f"published as version {decision.published}; {told(config.publish)}")
    return 0
