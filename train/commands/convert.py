"""Convert labelled lines from any format to any other.

Read are columns (conll: IO, IOB1, IOB2, IOE1, IOE2, BIOES, BILOU, BMES or BMEWO), JSON with
character spans (jsonl: spaCy, Prodigy; doccano), Label Studio's JSON (label-studio), folders of
brat (brat) and MaintIE's JSON (maintie); which one a file is in is found out and said, or named
with --format. Several files become one.

What a format cannot hold is left out or refused, never bent in silence: conll and maintie label
words, so a span must begin and end with one (--words punctuation, or --widen), and texts come back
with single blanks between words; conll and brat have no lines without words; brat and conll have no
line ends within a text, a blank stands there; in the scheme IO entities of one label that touch
become one.

Rules: of Label Studio's annotations of a task those cancelled do not count, then the ground truth
is taken, else the one updated last, choices alone after all others; where they differ, that is
told. Tasks without any are left out, as are lines Prodigy's annotator rejected. Pieces of a
discontinuous brat entity are spans of their own unless only blanks part them. Of nested spans
(MaintIE, or with --overlaps longest) the longest stays.

Examples:
  python -m train convert tasks.json lines.conll
  python -m train convert lines.conll more.jsonl lines.jsonl --label-map labels.map
  python -m train convert gold_release.json gold.conll --label-level 2 --scheme BIOES
  python -m train convert lines.jsonl folder --to brat

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status
from train.formats.arguments import add_mapped_reading, add_writing, take_reading, take_writing
from train.formats.convert import convert
from train.formats.flat import Reading
from train.formats.registry import COLUMN_SUFFIXES, FORMATS
from train.formats.words import Writing

_BY_SUFFIX = dict.fromkeys(COLUMN_SUFFIXES, "conll") | {".jsonl": "jsonl"}


@dataclass(frozen=True)
class ConvertConfig:
    """What to convert into what.

    Attributes:
        sources: Files and brat's folders to read.
        target: File, or folder for brat, to write.
        to: Name of its format.
        reading: How the sources are read.
        writing: How words are cut and tagged.
    """

    sources: tuple[Path, ...]
    target: Path
    to: str
    reading: Reading
    writing: Writing


def parse_args(argv: Sequence[str]) -> ConvertConfig:
    """Return the command line as a config."""
    parser = command_parser("train convert", __doc__)
    parser.add_argument("sources", type=Path, nargs="+", metavar="FROM", help="labelled lines")
    parser.add_argument(
        "target", type=Path, metavar="TO", help="a new file or folder, or one of the files read"
    )
    text = f"format to write: {', '.join(FORMATS)} (by the suffix of TO: .conll, .jsonl)"
    parser.add_argument("--to", choices=FORMATS, metavar="NAME", help=text)
    add_mapped_reading(parser)
    add_writing(parser)
    values = vars(parser.parse_args(argv))
    values["sources"] = tuple(values["sources"])
    values["to"] = values["to"] or _BY_SUFFIX.get(values["target"].suffix.lower())
    if values["to"] is None:
        parser.error(f"expected --to with one of {', '.join(FORMATS)}, got {values['target']}")
    return ConvertConfig(reading=take_reading(values), writing=take_writing(values), **values)


def main(argv: Sequence[str]) -> int:
    """Convert, print the path of what was written, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: ConvertConfig) -> int:
    convert(
        config.sources,
        config.target,
        config.to,
        reading=config.reading,
        writing=config.writing,
    )
    deliver(str(config.target))
    return 0
