"""Write the generated splits of the sample corpus, train.jsonl and dev.jsonl.

The same seed gives the same files byte for byte; test.jsonl is written by hand and left alone.

  python -m train.sample                          rewrite the files that ship with the project
  python -m train.sample --output build/sample    write them elsewhere
  python -m train.sample --seed 8 --output build/other
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serve.errors import TaggingError
from train.sample.corpus import SampleConfig, write_splits


def parse_args(argv: Sequence[str] | None = None) -> SampleConfig:
    """Return the configuration that the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m train.sample",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=Path, default=SampleConfig.output, metavar="DIR", help="folder to write to"
    )
    parser.add_argument(
        "--seed", type=int, default=SampleConfig.seed, metavar="N", help="default: %(default)s"
    )
    args = parser.parse_args(argv)
    return SampleConfig(output=args.output, seed=args.seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Write both splits and say so; return the exit status."""
    config = parse_args(argv)
    try:
        splits = write_splits(config)
    except TaggingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{config.output / 'train.jsonl'}: {len(splits.train)} lines")
    print(f"{config.output / 'dev.jsonl'}: {len(splits.dev)} lines")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
