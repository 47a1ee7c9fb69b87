"""The verbs of `python -m serve`, one module each: a config, its parser, and what it does."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import math
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from serve.display.render import printable_lines
from serve.errors import TaggingError, in_words


def command_parser(words: str, documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser of `python -m WORDS` whose help is the documentation of its module.

    Each option says what it is for and, where it has one, its default in brackets.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {words}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Return a parser of finite numbers that fit; of what does not, it says what was expected."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return value

    return parse


def write_utf8() -> None:
    """Have standard output take every text, as UTF-8: labels and JSON are, whatever the locale.

    A file's name may hold bytes that are no text; they are escaped with a backslash.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the program at once and without a word, while it only imports.

    Raised inside of numpy or ONNX Runtime it would be printed, and taken for a package that lacks.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(message: str) -> None:
    """Tell the user something that is no part of the product: on standard error, if it is read.

    It may name files and servers of anybody's, so nothing in it steers the terminal.
    """
    try:
        sys.stderr.write(printable_lines(message) + "\n")
        sys.stderr.flush()
    except OSError:  # its reader has gone, or a disk is full: no reason to end what is under way
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the process ends


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


def discard_output() -> None:
    """Drop what could not be written, lest Python fail once more over it at its exit."""
    if sys.stdout is not None:
        with contextlib.suppress(OSError):  # a stream without a descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_status(run: Callable[[], int], *, interrupted: str = "interrupted") -> int:
    """Return what a command returns, or 1 after telling its failure in one line.

    Where the reader of its standard output has seen enough, as `head` has, it is 1 without a word:
    a verdict that nobody heard must not pass for a good one.

    Args:
        run: The command.
        interrupted: What to say where somebody interrupts it.
    """
    try:
        status = run()
        if sys.stdout is not None:
            sys.stdout.flush()  # what print holds back
        return status
    except TaggingError as error:
        say(f"error: {error}")
    except OSError as error:  # a full disk, a closed stream, a folder of somebody else's
        if not (isinstance(error, BrokenPipeError) and _has_no_reader()):
            say(f"error: {in_words(error)}")
        discard_output()
    except KeyboardInterrupt:
        say(f"error: {interrupted}")
    return 1


def _has_no_reader() -> bool:
    """Return whether it is standard output that broke: a pipe to a child of ours may, too."""
    if sys.stdout is None:
        return False
    poll = select.poll()
    poll.register(sys.stdout, 0)  # that its reader has gone is told unasked
    return bool(poll.poll(0))
