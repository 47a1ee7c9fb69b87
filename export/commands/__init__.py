"""The commands of `python -m export` besides exporting, one module each."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from serve.commands import say
from serve.errors import TaggingError


def command_parser(command: str, documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the documentation of the command's module."""
    return argparse.ArgumentParser(
        prog=f"python -m export {command}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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
