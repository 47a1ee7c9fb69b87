"""Lint a corpus: what would go wrong in training, and what would spoil its figures.

Errors: lines that are not of the file's format, texts that cannot be tagged, spans that leave their
text, overlap, begin or end with a blank or inside a word, tags that break the file's scheme, train
or dev without a span, labels of dev or test that train has not. Warnings: texts that two parts
have, the same text with different labels, labels with fewer than 20 spans in train. Beside them the
spans of each label and a histogram of lengths.

A folder is taken by its parts (train, dev or valid, test), as python -m train does; brat's folder
and each of several files are a part of their own.

Examples:
  python -m train check my/lines
  python -m train check my/lines --label-map Old=New,Drop= --html build/check.html
  python -m train check tasks.json --json > check.json
  python -m train check gold_release.json --label-level 2

exit status: 0 no errors, 1 errors, 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status, say
from serve.files import write_durably
from train.corpus.splits import parts_of
from train.formats.arguments import add_mapped_reading, take_reading
from train.formats.flat import Reading
from train.formats.words import Words
from train.lint.as_json import inspection_json
from train.lint.finding import Severity
from train.lint.inspect import inspect
from train.lint.page import inspection_page
from train.lint.text import inspection_text


@dataclass(frozen=True)
class CheckConfig:
    """What to lint.

    Attributes:
        paths: Folders of parts, files, and brat's folders.
        reading: How files are read.
        words: What parts two words.
        html: Where the page goes; None for no page.
        json: Print all findings and figures as JSON instead of text.
    """

    paths: tuple[Path, ...]
    reading: Reading
    words: Words = Words.PUNCTUATION
    html: Path | None = None
    json: bool = False


def parse_args(argv: Sequence[str]) -> CheckConfig:
    """Return the command line as a config."""
    parser = command_parser("train check", __doc__)
    add, default = parser.add_argument, CheckConfig
    add(
        "paths", type=Path, nargs="+", metavar="PATH", help="folder of parts, file or brat's folder"
    )
    add_mapped_reading(parser)
    text = f"where words end: as the model cuts them (punctuation for BERT) ({default.words})"
    add("--words", type=Words, choices=list(Words), default=default.words, metavar="AT", help=text)
    add("--html", type=Path, metavar="FILE", help="write a page")
    add("--json", action="store_true", help="print all findings and figures as JSON")
    values = vars(parser.parse_args(argv))
    values["paths"] = tuple(values["paths"])
    return CheckConfig(reading=take_reading(values), **values)


def main(argv: Sequence[str]) -> int:
    """Lint, print what was found, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: CheckConfig) -> int:
    parts = _parts(config.paths)
    found = inspect(parts, config.reading, config.words)
    if config.json:
        deliver(json.dumps(inspection_json(found), indent=2, ensure_ascii=False))
    else:
        deliver(inspection_text(found))
    if config.html:  # last: a page that fails shall not cost what was found
        write_durably(config.html, inspection_page(found).encode())
        say(f"page: {config.html}")
    return int(found.num(Severity.ERROR) > 0)


def _parts(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the file of each part of a corpus, by name."""
    parts: dict[str, Path] = {}
    for path in paths:
        names = parts_of(path, path.name).items()
        parts |= {name if name not in parts else str(file): file for name, file in names}
    return parts
