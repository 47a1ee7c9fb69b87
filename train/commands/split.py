"""Part labelled lines into train, dev and test: at random, by group or by time.

Lines whose texts differ in case and blanks only stay on one side, so that test holds nothing that
train has shown. With --group lines that share a field's value stay together instead (a machine, a
site, a document); with --time the oldest become train and the newest test, as in production.

Fields are those of the JSON object of a line (meta.site is the field site in the field meta); in
conll and brat there is one, document.

Examples:
  python -m train split gold_release.json --output parts
  python -m train split a.jsonl b.jsonl --output parts --group meta.machine --test 0.2
  python -m train split tasks.json --output parts --time data.reported
  python -m train --data parts

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, exit_status
from serve.errors import DataError
from serve.examples import Example, fold
from serve.files import replacing
from train.corpus.label_map import check_label_map
from train.corpus.partition import PARTS, Key, part_by_group, part_by_time
from train.flags.new_folder import check_new
from train.flags.numbers import between, seed
from train.formats.arguments import add_mapped_reading, add_writing, take_reading, take_writing
from train.formats.fields import field_of, seconds_of
from train.formats.flat import Reading
from train.formats.record import Record
from train.formats.registry import FORMATS, read_examples, write_examples
from train.formats.tally import Fields, Tally
from train.formats.words import Writing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitConfig:
    """What to part, and how.

    Attributes:
        sources: Files and brat's folders.
        output: Folder to write.
        reading: How the sources are read.
        writing: How words are cut and tagged.
        to: Name of the format to write.
        dev: Share of the lines, in (0, 1).
        test: Share of the lines, in [0, 1).
        seed: Of the draw.
        group: Field whose values stay together.
        time: Field of the time.
    """

    sources: tuple[Path, ...]
    output: Path
    reading: Reading = Reading()  # noqa: RUF009 (frozen)
    writing: Writing = Writing()  # noqa: RUF009
    to: str = "jsonl"
    dev: float = 0.1
    test: float = 0.1
    seed: int = 1
    group: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """An example, where it comes from, and what keeps it together with others."""

    place: str
    example: Example
    key: Key


def parse_args(argv: Sequence[str]) -> SplitConfig:
    """Return the command line as a config."""
    parser = command_parser("train split", __doc__)
    add, default = parser.add_argument, SplitConfig
    add("sources", type=Path, nargs="+", metavar="FROM", help="labelled lines")
    add("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    text = f"format to write: {', '.join(FORMATS)} ({default.to})"
    add("--to", choices=FORMATS, default=default.to, metavar="NAME", help=text)
    for part, share in (("dev", default.dev), ("test", default.test)):
        text = f"share of the lines ({share})"
        add(f"--{part}", type=between(0, 0.9), default=share, metavar="S", help=text)
    text = f"same seed, same parts ({default.seed})"
    add("--seed", type=seed, default=default.seed, metavar="N", help=text)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--group", metavar="FIELD", help="keep lines with one value together")
    ways.add_argument("--time", metavar="FIELD", help="train on the oldest, test on the newest")
    add_mapped_reading(parser)
    add_writing(parser)
    values = vars(parser.parse_args(argv))
    if values["dev"] + values["test"] >= 1:
        parser.error("expected --dev and --test to leave something for train")
    values["sources"] = tuple(values["sources"])
    return SplitConfig(reading=take_reading(values), writing=take_writing(values), **values)


def main(argv: Sequence[str]) -> int:
    """Part the lines, print the folder, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: SplitConfig) -> int:
    check_new(config.output)
    fields = Fields()
    lines = _read(config, fields)
    train = 1 - config.dev - config.test
    shares = dict(zip(PARTS, (train, config.dev, config.test), strict=True))
    parts = _parts(config, [line.key for line in lines], shares)
    tallies: list[Tally] = []
    with replacing(config.output) as folder:
        for part in (part for part in PARTS if shares[part]):
            chosen = [line for line, where in zip(lines, parts, strict=True) if where == part]
            path = folder / f"{part}{FORMATS[config.to].suffix}"
            placed = ((line.place, line.example) for line in chosen)
            tallies.append(write_examples(path, config.to, placed, config.writing))
            _check_some(part, tallies[-1], lines)
            logger.info("%s: %d lines", part, tallies[-1].num_lines)
    Tally.total(tallies).warn(config.output)
    fields.warn(config.output)
    _say_leaks(lines, parts)
    _say_unknown(lines, parts)
    deliver(str(config.output))
    return 0


def _check_some(part: str, tally: Tally, lines: Sequence[_Line]) -> None:
    """Refuse a part of which no line was written.

    Raises:
        DataError: If there is none.
    """
    if tally.num_lines:
        return
    if tally.num_blank:
        raise DataError(
            f"expected lines with words for {part}, got none in {tally.num_blank} lines; drop the "
            "lines without words, or give --to jsonl, which holds them"
        )
    raise DataError(
        f"expected lines for {part}, got none: {len({line.key for line in lines})} groups of lines "
        "are too few for these shares; give another field or larger shares"
    )


def _read(config: SplitConfig, fields: Fields) -> list[_Line]:
    """Return every line; a DataError if there is none."""
    lines: list[_Line] = []
    labels: set[str] = set()
    for source in config.sources:
        for record, example in read_examples(source, config.reading):
            labels.update(span.label for span in record.spans)
            fields.note(record)
            lines.append(_Line(record.place, example, _key(config, record, example)))
    if not lines:
        raise DataError(f"{config.sources[0]}: expected labelled lines, got none; name other files")
    check_label_map(dict(config.reading.label_map), labels)
    return lines


def _key(config: SplitConfig, record: Record, example: Example) -> Key:
    if config.time:
        return seconds_of(record, config.time)
    return str(field_of(record, config.group)) if config.group else fold(example.text)


def _parts(config: SplitConfig, keys: Sequence[Key], shares: Mapping[str, float]) -> list[str]:
    """Return the part of each line."""
    wanted = {part: share for part, share in shares.items() if share}
    by_key = part_by_time(keys, wanted) if config.time else part_by_group(keys, wanted, config.seed)
    return [by_key[key] for key in keys]


def _say_leaks(lines: Sequence[_Line], parts: Sequence[str]) -> None:
    """Warn of texts with words that a group or a moment put on several sides."""
    sides: dict[str, set[str]] = {}
    for line, part in zip(lines, parts, strict=True):
        if text := fold(line.example.text):
            sides.setdefault(text, set()).add(part)
    if num := sum(len(found) > 1 for found in sides.values()):
        logger.warning("warning: %d texts stand in more than one part", num)


def _say_unknown(lines: Sequence[_Line], parts: Sequence[str]) -> None:
    """Warn of labels that train has not, so that training refuses the parts as they are."""
    labels: dict[str, set[str]] = {part: set() for part in PARTS}
    for line, part in zip(lines, parts, strict=True):
        labels[part].update(span.label for span in line.example.spans)
    if unknown := sorted((labels["dev"] | labels["test"]) - labels["train"]):
        logger.warning(
            "warning: no train line has a label of dev or test: %s; part again with another "
            "--seed, or merge or drop them with --label-map",
            ", ".join(unknown),
        )
