"""Say which words made a checkpoint choose each entity of a line.

Integrated gradients share out the log odds of an entity's tags among the words of its line;
occlusion, which hides one word at a time, is the check, and their rank agreement is told. Both
compare with the line whose words are all hidden. Lines come from files or from standard input.

Examples:
  echo "replce blown o-ring off steering hose" | python -m train explain build/checkpoint
  python -m train explain build/checkpoint work_orders.txt --html build/why.html
  python -m train explain build/checkpoint work_orders.txt --json > why.jsonl

exit status: 0 explained, 1 not possible (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from serve.files import write_durably
from serve.lines import STDIN, read_chunks


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """What to explain.

    Attributes:
        checkpoint: Folder of the checkpoint: a bundle has no gradients.
        files: Files of lines, `-` for standard input.
        html: Where the page goes; None for no page.
        json: Print one JSON object a line instead of text.
    """

    checkpoint: Path
    files: tuple[str, ...] = (STDIN,)
    html: Path | None = None
    json: bool = False


def parse_args(argv: Sequence[str]) -> ExplainConfig:
    """Return the command line as a config."""
    parser = command_parser("train explain", __doc__)
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="the tagger")
    text = "a text a line (standard input)"
    add("files", nargs="*", default=ExplainConfig.files, metavar="FILE", help=text)
    add("--html", type=Path, metavar="FILE", help="write a page")
    add("--json", action="store_true", help="print one JSON object a line")
    # Intermixed: else files that stand behind a flag behind the checkpoint would be refused.
    values = vars(parser.parse_intermixed_args(argv))
    return ExplainConfig(**{**values, "files": tuple(values["files"])})


def main(argv: Sequence[str]) -> int:
    """Explain, print the words, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: ExplainConfig) -> int:
    # Late, so that --help and usage errors need no PyTorch.
    from train.explanation.explain import Explainer
    from train.explanation.page import explanation_page, explanation_text
    from train.trained.model import load_trained

    explainer = Explainer(load_trained(config.checkpoint))
    texts = (line for chunk in read_chunks(config.files) for line in chunk)
    lines = ((text, explainer.explain(text)) for text in texts)
    if config.html:  # first: the reader of what is printed may leave early
        explained = list(lines)
        write_durably(config.html, explanation_page(explained).encode())
        say(f"page: {config.html}")
    for text, found in explained if config.html else lines:
        row = {"text": text, "entities": [asdict(why) for why in found]}
        deliver(
            json.dumps(row, ensure_ascii=False) if config.json else explanation_text(text, found)
        )
    return 0
