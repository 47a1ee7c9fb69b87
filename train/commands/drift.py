"""Say whether new lines, without labels, are still of the kind that a tagger was trained on.

Measured: the share of words and of tokens that the train lines have not, and of characters that the
tokenizer has no token for; how far the words' frequencies are apart; how sure the tagger is; how
many entities it finds, and of which labels. Each is held against the lines that the tagger's
checkpoint held out, its dev and test lines, and what chance explains is found by dealing the lines
of both anew. Texts that both have are left out of both. Lines of one kind are taken for drift once
in a hundred times.

Examples:
  python -m train drift --reference build/bundle --lines november.txt
  python -m train drift --reference build/checkpoint --lines *.txt --json
  python -m train drift --reference bundle --checkpoint my/checkpoint --lines november.txt

exit status: 0 measured, whatever the verdict, 1 not possible (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """What to compare.

    Attributes:
        reference: Folder of a checkpoint or a bundle.
        lines: Files of text without labels, one text a line.
        checkpoint: What a bundle was exported from; None to find it beside the bundle.
        json: Print all figures as JSON instead of a table.
    """

    reference: Path
    lines: tuple[Path, ...]
    checkpoint: Path | None = None
    json: bool = False


def parse_args(argv: Sequence[str]) -> DriftConfig:
    """Return the command line as a config."""
    parser = command_parser("train drift", __doc__)
    add = parser.add_argument
    text = "the tagger"
    add("--reference", type=Path, required=True, metavar="CHECKPOINT_OR_BUNDLE", help=text)
    text = "new text without labels, one line each"
    add("--lines", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    text = "what a bundle was exported from (beside the bundle, by its name)"
    add("--checkpoint", type=Path, metavar="DIR", help=text)
    add("--json", action="store_true", help="print all figures as JSON")
    values = vars(parser.parse_args(argv))
    return DriftConfig(**values | {"lines": tuple(values["lines"])})


def main(argv: Sequence[str]) -> int:
    """Compare, print the figures, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: DriftConfig) -> int:
    # Late, so that --help and usage errors need no PyTorch.
    from train.drift.assess import assess_drift
    from train.drift.text import drift_text

    drift = assess_drift(config.reference, config.lines, config.checkpoint)
    deliver(json.dumps(drift.to_json(), indent=2) if config.json else drift_text(drift))
    return 0
