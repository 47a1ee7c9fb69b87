"""Every option of every command says what it is for and its default, every command how it ends."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module

import pytest

import export.__main__
import serve.__main__
import train.__main__

MODULES = (
    *(f"serve.commands.{verb}" for verb in serve.__main__.VERBS),
    *export.__main__.COMMANDS.values(),
    *(f"train.commands.{name}" for name in train.__main__.COMMANDS),
    *("export.__main__", "train.__main__"),
    *(f"benchmarks.{name}" for name in ("export", "gpu", "latency", "report", "tour")),
    *(
        f"benchmarks.{name}.__main__"
        for name in ("accuracy", "grid", "load", "memory", "path", "training", "year")
    ),
)
UNSAID = (None, argparse.SUPPRESS)
"""Defaults that go without saying."""


class Parsing(Exception):  # noqa: N818
    """A parser is about to parse."""


def parser_of(
    parse: Callable[[Sequence[str]], object], monkeypatch: pytest.MonkeyPatch
) -> argparse.ArgumentParser:
    """Return the parser that a function parses with."""

    def stop(parser: argparse.ArgumentParser, _: object) -> None:
        raise Parsing(parser)

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, stop)
    with pytest.raises(Parsing) as caught:
        parse([])
    parser: argparse.ArgumentParser = caught.value.args[0]
    return parser


def unsaid(parser: argparse.ArgumentParser) -> list[str]:
    """Return which options lack their help, or the default in brackets at its end."""
    return [
        action.option_strings[-1] if action.option_strings else action.dest
        for action in parser._actions
        if not action.help
        or (
            action.nargs != 0  # a flag's goes without saying
            and (action.default not in UNSAID and action.default)
            and not action.help.endswith(")")
        )
    ]


@pytest.mark.parametrize("name", MODULES)
def test_help_says_what_options_are_for_and_how_a_command_ends(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = parser_of(import_module(name).parse_args, monkeypatch)
    assert unsaid(parser) == []
    assert parser.description is not None
    assert "exit status: 0 " in parser.description


def test_an_option_without_a_word_or_its_default_is_found() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mute")
    parser.add_argument("--share", default=0.1, help="of callers")
    parser.add_argument("--told", default=0.1, help="of callers (0.1)")
    parser.add_argument("--flag", action="store_true", help="do it")
    assert unsaid(parser) == ["--mute", "--share"]
