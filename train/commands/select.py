"""Pick the lines to label next: those the tagger is unsure of, and that are unlike each other.

The lines come with the tagger's own labels, to be corrected: label_studio.json to import into Label
Studio (with label_studio.xml as the project's labelling interface) and doccano.jsonl to import into
doccano. Left out are the lines of --labelled, and those that the checkpoint was trained, chosen or
tested on as far as its folder has them. python -m train curve --pick random select shows whether
such a choice saves labels.

Examples:
  python -m train select build/checkpoint --pool raw.txt --num 100 --output build/next
  python -m train select build/checkpoint --pool raw.txt --labelled my/train.txt --output build/more
  python -m train convert tasks.json more.jsonl            what Label Studio exports, afterwards

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from serve.display.render import Painter
from train.flags.new_folder import check_new
from train.flags.numbers import at_least
from train.formats.arguments import add_reading, take_reading
from train.formats.flat import Reading


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """What to pick from.

    Attributes:
        checkpoint: Folder of the tagger.
        pool: Files of text, one line each.
        output: Folder to write.
        labelled: Files of lines that are labelled already, besides the checkpoint's own.
        reading: How those are read.
        num: Lines to pick.
        json: Print the lines as JSON instead of text.
    """

    checkpoint: Path
    pool: tuple[Path, ...]
    output: Path
    labelled: tuple[Path, ...] = ()
    reading: Reading = Reading()  # noqa: RUF009 (frozen)
    num: int = 50
    json: bool = False


def parse_args(argv: Sequence[str]) -> SelectConfig:
    """Return the command line as a config."""
    parser = command_parser("train select", __doc__)
    add, default = parser.add_argument, SelectConfig
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="the tagger")
    text = "text without labels, one line each"
    add("--pool", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    add("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    text = (
        "labelled lines besides the checkpoint's own, of any format: left out, and kept away from"
    )
    add("--labelled", type=Path, nargs="+", default=(), metavar="FILE", help=text)
    text = f"lines to pick ({default.num})"
    add("--num", type=at_least(1), default=default.num, metavar="N", help=text)
    add("--json", action="store_true", help="print the lines as JSON")
    add_reading(parser)
    values = vars(parser.parse_args(argv))
    values |= {name: tuple(values[name]) for name in ("pool", "labelled")}
    return SelectConfig(reading=take_reading(values), **values)


def main(argv: Sequence[str]) -> int:
    """Pick, write and print the lines, return the exit status."""
    config = parse_args(argv)

    def select() -> int:
        check_new(config.output)
        # Late, so that --help and usage errors need no PyTorch.
        from train.selection.suggest import suggest, write_suggestions

        found = suggest(config.checkpoint, config.pool, config.labelled, config.num, config.reading)
        write_suggestions(config.output, found, config.checkpoint.name)
        if config.json:
            rows = [
                {"text": s.text, "entities": [e.to_json() for e in s.entities],
                 "uncertainty": s.uncertainty, "distance": s.distance}
                for s in found.lines
            ]  # fmt: skip
            deliver(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            painter = Painter(in_colour=False)
            for s in found.lines:
                deliver(f"{s.uncertainty:6.3f}  {painter.line(s.text, s.entities)}")
        say(f"{len(found.lines)} lines: {config.output}")
        return 0

    return exit_status(select)
