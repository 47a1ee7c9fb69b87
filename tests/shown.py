"""Finds the commands that a page or a recipe shows, and has each program parse its own."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from export.__main__ import COMMANDS as EXPORT
from serve.__main__ import VERBS
from train.__main__ import COMMANDS as TRAIN

MODULES = {
    **{f"train {name}": f"train.commands.{name}" for name in TRAIN},
    **{f"export {name}": module for name, module in EXPORT.items()},
    **{f"serve {name}": f"serve.commands.{name}" for name in VERBS},
}
VALUES = {
    "$url": "127.0.0.1:8001",
    "$urls": "127.0.0.1:8001,127.0.0.1:8011",
    "$name": "mwo2kg plain",
}
"""What stands for a shell's variables."""
_PROGRAM = re.compile(r"(train|export|serve|benchmarks)(\.\w+)?")
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command that is shown.

    Attributes:
        program: What follows `python -m`.
        arguments: What follows that.
    """

    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        """Return the command as one would type it."""
        return shlex.join(["python", "-m", self.program, *self.arguments])

    def parse(self) -> Any:
        """Return the settings the program makes of its arguments.

        Raises:
            SystemExit: If it does not take them, with status 2; after help, with 0.
        """
        name = " ".join((self.program, *self.arguments[:1]))
        if name in MODULES:
            module, arguments = import_module(MODULES[name]), self.arguments[1:]
        else:
            assert self.program != "serve", f"{self}: expected a verb of serve"
            module, arguments = import_module(_main_of(self.program)), self.arguments
        return module.parse_args(list(arguments))


def _main_of(program: str) -> str:
    return f"{program}.__main__" if hasattr(import_module(program), "__path__") else program


def shown_on(page: str) -> list[Shown]:
    """Return the commands of a page's blocks of shell, indented blocks and phrases of code.

    A phrase that only names a program is taken to ask for its help.
    """
    fenced = [code for language, code in _FENCED.findall(page) if language in ("", "sh")]
    rest = _FENCED.sub("", page)
    blocks = [*fenced, *_INDENTED.findall(rest)]
    named = [shown for phrase in _INLINE.findall(rest) for shown in shown_in(_one_line(phrase))]
    phrases = [shown if shown.arguments else Shown(shown.program, ("--help",)) for shown in named]
    return [shown for code in blocks for shown in shown_in(code)] + phrases


def shown_in(code: str) -> list[Shown]:
    """Return the commands of lines of shell."""
    lines = code.replace("\\\n", " ").splitlines()
    return [command for line in lines for command in _in_line(line)]


def make_commands(code: str) -> list[list[str]]:
    """Return the arguments of each `make` in lines of shell."""
    words = [shlex.split(line, comments=True) for line in code.splitlines() if line[:5] == "make "]
    return [found[1:] for found in words]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _in_line(line: str) -> list[Shown]:
    try:
        words = list(_lexer(line))
    except ValueError:  # a quotation mark that has no other: prose
        return []
    starts = [i for i in range(len(words) - 1) if words[i] == "-m"]
    return [
        Shown(words[i + 1], tuple(_until_punctuation(words[i + 2 :])))
        for i in starts
        if _PROGRAM.fullmatch(words[i + 1])
    ]


def _lexer(line: str) -> shlex.shlex:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)  # a pipe, a bracket: by itself
    lexer.whitespace_split = True
    return lexer


def _until_punctuation(words: list[str]) -> list[str]:
    end = next((i for i, word in enumerate(words) if not word.strip("();<>|&")), len(words))
    return [VALUES.get(word, word) for word in words[:end]]
