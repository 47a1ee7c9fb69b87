"""Make a pair of Ed25519 keys: FILE to sign bundles with, FILE.pub to check them with.

The private key has mode 0600 and no passphrase: keep it off the machines that serve. A file that
is there is never overwritten.

Examples:
  python -m export keygen linetag.key

exit status: 0 written, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.signing import write_key_pair
from serve.commands import command_parser, deliver, exit_status


@dataclass(frozen=True)
class KeygenConfig:
    """Where the keys go.

    Attributes:
        file: File of the private key.
    """

    file: Path


def parse_args(argv: Sequence[str]) -> KeygenConfig:
    """Return the command line as a config."""
    parser = command_parser("export keygen", __doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the private key; FILE.pub is the public one"
    )
    return KeygenConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str]) -> int:
    """Write the keys, print the path of the public one, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: KeygenConfig) -> int:
    deliver(str(write_key_pair(config.file)))
    return 0
