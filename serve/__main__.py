"""Tag text with a bundle, and serve it with Triton.

    python -m serve tag work_orders.txt     tag lines, embedded or through Triton
    python -m serve publish                 put the bundle into Triton's model repository
    python -m serve promote                 give the version on trial to all callers
    python -m serve rollback                take it from them, or go back to the version before
    python -m serve history                 tell which version served whom, and when
    python -m serve start --detach          start Triton servers, print their addresses
    python -m serve tune                    find and keep the best number of threads here
    python -m serve status                  tell how they are doing
    python -m serve top                     watch them: rate, latency, health
    python -m serve restart                 restart one after the other, losing nothing
    python -m serve stop                    stop them

Each verb has its own --help.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from serve.commands import command_parser, exit_status, importing, write_utf8
from serve.descriptors import NUM_COMMAND, check_descriptors

_FRUGAL = ("status", "stop")
"""Verbs that read and signal: whoever is short of files needs them most."""
VERBS = (
    *("tag", "tune", "publish", "promote", "rollback", "history"),
    *("start", "status", "top", "restart", "stop"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit status: 0, or 1 for a failure told in one line."""
    parser = command_parser("serve", __doc__)
    parser.add_argument("verb", choices=VERBS, metavar="VERB")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    args = parser.parse_args(argv)
    if sys.stderr is None:  # closed by the caller; print would fall back to standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the process ends
    write_utf8()
    return exit_status(partial(_run, args.verb, args.arguments))


def _run(verb: str, arguments: Sequence[str]) -> int:
    if verb not in _FRUGAL:
        check_descriptors(NUM_COMMAND)
    with importing():
        command = import_module(f"serve.commands.{verb}")
    return int(command.run(command.parse_args(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
