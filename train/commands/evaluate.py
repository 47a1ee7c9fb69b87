"""Say what a tagger gets right on labelled lines and what not: a checkpoint or a bundle.

Entity F1 in nervaluate's four modes (an overlap counts from 1 % of a gold entity's characters on)
with 95 % intervals, where the lines can tell; each label; lines and entities by length; entities
that the train lines had and that they had not; what was mistaken for what; how far scores can be
believed, before and after temperature scaling; the tags of words; the worst errors. With --against,
the same lines are put to another tagger, and each difference gets its p-value.

Examples:
  python -m train evaluate build/checkpoint --data my/lines/test.txt
  python -m train evaluate build/checkpoint --data test.jsonl --html build/evaluation.html
  python -m train evaluate build/bundle --data test.jsonl --against build/checkpoint
  python -m train evaluate build/bundle --precision fp32 --data test.jsonl --json > figures.json

exit status: 0 evaluated, 1 not possible (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from serve.bundle import Precision
from serve.commands import command_parser, deliver, exit_status, say
from serve.files import write_durably
from train.evaluation.config import EvaluateConfig
from train.formats.arguments import add_mapped_reading, take_reading


def parse_args(argv: Sequence[str]) -> EvaluateConfig:
    """Return the command line as a config."""
    parser = command_parser("train evaluate", __doc__)
    add = parser.add_argument
    add("tagger", type=Path, metavar="CHECKPOINT_OR_BUNDLE", help="what is evaluated")
    add("--data", type=Path, required=True, metavar="FILE", help="labelled lines")
    add_mapped_reading(parser)
    text = "what the tagger was trained on, to tell seen from unseen (the checkpoint's own lines)"
    add("--train", type=Path, metavar="FILE", help=text)
    add("--against", type=Path, metavar="CHECKPOINT_OR_BUNDLE", help="compare with another tagger")
    text = "graph of a bundle (the one that serving takes here)"
    add("--precision", choices=list(Precision), type=Precision, help=text)
    add("--html", type=Path, metavar="FILE", help="write a page with pictures and the worst errors")
    add("--json", action="store_true", help="print all figures as JSON")
    values = vars(parser.parse_args(argv))
    return EvaluateConfig(reading=take_reading(values), **values)


def main(argv: Sequence[str]) -> int:
    """Evaluate, print the figures, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: EvaluateConfig) -> int:
    # Late, so that --help and usage errors need no PyTorch.
    from train.evaluation.as_json import assessment_json
    from train.evaluation.inquiry import inquire
    from train.evaluation.page import assessment_page
    from train.evaluation.text import assessment_text

    inquiry = inquire(config)
    name, found = inquiry.title, inquiry.assessment
    if config.json:
        deliver(json.dumps({**inquiry.subject, **assessment_json(found)}, indent=2))
    else:
        deliver(assessment_text(name, found))
    if config.html:  # last: the figures took long, and a page that fails shall not cost them
        write_durably(config.html, assessment_page(name, found).encode())
        say(f"page: {config.html}")
    return 0
