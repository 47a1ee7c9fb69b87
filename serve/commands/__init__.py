"""The verbs of `python -m serve`, one module each: a config, its parser, and what it does."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable

from serve.errors import TaggingError


def command_parser(
    verb: str, documentation: str | None, *, package: str = "serve"
) -> argparse.ArgumentParser:
    """Return a parser whose help is the documentation of the verb's module."""
    return argparse.ArgumentParser(
        prog=f"python -m {package} {verb}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def write_utf8() -> None:
    """Have standard output take every text, as UTF-8: labels and JSON are, whatever the locale.

    A file's name may hold bytes that are no text; they are escaped with a backslash.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def say(message: str) -> None:
    """Tell the user something that is no part of the product: on standard error."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def deliver(line: str) -> None:
    """Write a line of the product: on standard output, at once.

    Raises:
        OSError: Naming standard output, if it is closed or takes no more.
    """
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        error.filename = "standard output"
        raise


def exit_status(run: Callable[[], int]) -> int:
    """Return what a command returns, or 1 after telling its failure in one line."""
    try:
        return run()
    except (TaggingError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("error: interrupted")
        return 1
