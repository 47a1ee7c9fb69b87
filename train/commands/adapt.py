"""Adapt a base model to a domain's language before it is fine-tuned: no labels are needed.

Raw lines, one text each, train the model to guess hidden words (whole ones, drawn anew each time).
Lines are taken once each, whatever their case and blanks; those of the labelled files named with
--leave-out (name dev and test here) are not trained on. A part is held out, and its perplexity
before and after tells what was learnt. The result is a base model for python -m train --model. An
interrupted run goes on with --resume; several processes share one as python -m train's do.

Examples:
  python -m train adapt orders.txt manuals.txt --output build/base
  python -m train --data my/lines --model build/base
  python -m train adapt orders.txt --leave-out my/lines/dev.txt my/lines/test.txt --epochs 20

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from serve.encoding import MIN_TOKENS
from train.adaptation.config import AdaptConfig
from train.flags.loop_arguments import add_loop, add_machine
from train.flags.numbers import at_least, between
from train.loop.interrupts import going_on

_DEFAULT = AdaptConfig(texts=())


def parse_args(argv: Sequence[str]) -> AdaptConfig:
    """Return the command line as a config."""
    parser = command_parser("train adapt", __doc__)
    parser.add_argument("texts", type=Path, nargs="+", metavar="FILE", help="raw lines")
    add = parser.add_argument_group("data and model").add_argument
    text = "labelled files whose lines are not trained on"
    add("--leave-out", type=Path, nargs="+", default=(), metavar="FILE", help=text)
    text = f"base model: a folder or a name on the Hugging Face hub ({_DEFAULT.model})"
    add("--model", default=_DEFAULT.model, metavar="NAME", help=text)
    text = f"the adapted base model ({_DEFAULT.output})"
    add("--output", type=Path, default=_DEFAULT.output, metavar="DIR", help=text)
    group = parser.add_argument_group("training")
    add = group.add_argument
    text = f"passes over the lines, at most, without that of a new head ({_DEFAULT.epochs})"
    add("--epochs", type=at_least(1), default=_DEFAULT.epochs, metavar="N", help=text)
    text = f"most tokens of a block, which lines are packed into ({_DEFAULT.block_tokens})"
    default = _DEFAULT.block_tokens
    add("--block-tokens", type=at_least(MIN_TOKENS), default=default, metavar="N", help=text)
    text = f"share of the words to guess ({_DEFAULT.mask_share:g})"
    share = between(0.01, 0.9)
    add("--mask-share", type=share, default=_DEFAULT.mask_share, metavar="R", help=text)
    text = f"share of the lines that perplexity is measured on ({_DEFAULT.held_out_share:g})"
    share, default_share = between(0.001, 0.5), _DEFAULT.held_out_share
    add("--held-out-share", type=share, default=default_share, metavar="R", help=text)
    add_loop(group, _DEFAULT, rows="blocks", score="a lower held-out perplexity")
    add_machine(parser.add_argument_group("machine"), _DEFAULT)
    values = vars(parser.parse_args(argv))
    values |= {name: tuple(values[name]) for name in ("texts", "leave_out")}
    return AdaptConfig(**values)


def main(argv: Sequence[str]) -> int:
    """Adapt a model, print what it learnt, return the exit status."""
    config = parse_args(argv)

    def run() -> int:
        # Late, so that --help and usage errors need no PyTorch.
        from train.adaptation.pipeline import adapt

        with going_on(config.output, resume=config.resume):
            record = adapt(config)
        if not record:  # a process beside the first
            return 0
        if config.json:
            deliver(json.dumps(record, indent=2))
        else:
            deliver(
                f"held-out perplexity {record['perplexity_before']:.2f} before, "
                f"{record['perplexity_after']:.2f} after (epoch {record['best_epoch']})"
            )
        say(f"adapted base model: {config.output}")
        return 0

    return exit_status(run)
