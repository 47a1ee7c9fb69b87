"""Reads the corpus's vocabulary and line shapes, and withholds a part of them from training.

Every eighth word of a pool and every eighth line shape is withheld: dev uses them, train does not,
so that a dev score says something about words never seen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FAMILIES = ("fluid", "electric", "mechanical")
_WITHHELD_EVERY = 8

Pools = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What lines are drawn from.

    Attributes:
        topics: Per industry and kind of part, the words of each slot.
        templates: Per kind of line, its shapes.
        abbreviations: Per word or phrase, its shorter spellings.
    """

    topics: tuple[Pools, ...]
    templates: Pools
    abbreviations: Pools


def load_lexicon(*, withhold: bool) -> Lexicon:
    """Read lexicon.toml and templates.toml.

    Args:
        withhold: Leave out the words and line shapes kept for dev.
    """
    words = tomllib.loads((HERE / "lexicon.toml").read_text(encoding="utf-8"))
    templates = tomllib.loads((HERE / "templates.toml").read_text(encoding="utf-8"))
    shared = _pools(words["shared"], withhold)
    families = {name: _pools(words["family"][name], withhold) for name in FAMILIES}
    domains = [_pools(pools, withhold) for pools in words["domain"].values()]
    return Lexicon(
        topics=tuple(
            _topic(shared, families[family], domain, family)
            for domain in domains
            for family in FAMILIES
        ),
        templates=_pools(templates, withhold),
        abbreviations=_pools(words["abbreviation"], withhold=False),
    )


def _topic(shared: Pools, family: Pools, domain: Pools, name: str) -> Pools:
    other = tuple(word for kind in FAMILIES if kind != name for word in domain[kind])
    return {**shared, **family, **domain, "item": domain[name], "other": other}


def _pools(table: Mapping[str, Sequence[str]], withhold: bool) -> Pools:
    return {name: _kept(words, withhold) for name, words in table.items()}


def _kept(words: Sequence[str], withhold: bool) -> tuple[str, ...]:
    last = _WITHHELD_EVERY - 1
    return tuple(w for i, w in enumerate(words) if not (withhold and i % _WITHHELD_EVERY == last))
