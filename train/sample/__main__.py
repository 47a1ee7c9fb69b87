"""Write the generated splits of the sample corpus, train.jsonl and dev.jsonl.

The same seed gives the same files byte for byte; test.jsonl is written by hand and left alone.

  python -m train.sample                          rewrite the files that ship with the project
  python -m train.sample --output build/sample    write them elsewhere
  python -m train.sample --seed 8 --output build/other
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, exit_status
from serve.examples import write_jsonl
from train.sample.corpus import draw_splits
from train.sample.lexicon import HERE


@dataclass(frozen=True)
class SampleConfig:
    """What `python -m train.sample` writes.

    Attributes:
        output: Folder of train.jsonl and dev.jsonl.
        seed: Seed of the generators.
    """

    output: Path = HERE
    seed: int = 7


def parse_args(argv: Sequence[str] | None = None) -> SampleConfig:
    """Return the configuration that the arguments ask for."""
    parser = command_parser("train.sample", __doc__)
    parser.add_argument(
        "--output", type=Path, default=SampleConfig.output, metavar="DIR", help="folder to write to"
    )
    parser.add_argument(
        "--seed", type=int, default=SampleConfig.seed, metavar="N", help="default: %(default)s"
    )
    return SampleConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Write both splits and say so; return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _main(config))


def _main(config: SampleConfig) -> int:
    for name, lines in zip(("train", "dev"), draw_splits(config.seed), strict=True):
        path = config.output / f"{name}.jsonl"
        write_jsonl(path, lines)
        print(f"{path}: {len(lines)} lines")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
