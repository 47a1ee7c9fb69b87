"""What the verbs with mutual TLS have in common: the flags of one side's three files."""

from __future__ import annotations

import argparse
from pathlib import Path

from serve.triton.tls import TlsFiles

_FLAGS = ("--tls-authority", "--tls-certificate", "--tls-key")


def add_tls_flags(parser: argparse.ArgumentParser, *, ours: str, theirs: str) -> None:
    """Let a parser take the files.

    Args:
        parser: The parser.
        ours: Whose certificate it is, for the help.
        theirs: Whose certificates it is shown.
    """
    helps = (
        f"certificate that signed {theirs}",
        f"{ours} certificate",
        f"the key of {ours} certificate",
    )
    for flag, text in zip(_FLAGS, helps, strict=True):
        parser.add_argument(flag, type=Path, metavar="FILE", help=text)


def taken_tls(parser: argparse.ArgumentParser, args: argparse.Namespace) -> TlsFiles | None:
    """Take the files out of parsed arguments; refuse some without the others."""
    names = [flag.removeprefix("--").replace("-", "_") for flag in _FLAGS]
    files = [vars(args).pop(name) for name in names]
    if any(files) and not all(files):
        parser.error(f"{', '.join(_FLAGS)}: expected all three or none")
    return TlsFiles(*files) if all(files) else None


def tls_arguments(tls: TlsFiles | None) -> list[str]:
    """Return the arguments that name the same files, from wherever they are given."""
    names = tls.names() if tls else ()
    return [part for pair in zip(_FLAGS, names, strict=False) for part in pair]
