"""Owns the tag set: names to ids, BIO checked on construction. Knows nothing of text or models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

OUTSIDE = "O"


@dataclass(frozen=True)
class Tags:
    """The BIO tags of a model, in the order of its logits.

    Attributes:
        names: Tag names, `names[i]` is the tag of logit i. Shape: (L,)
    """

    names: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a tag set that cannot be decoded.

        Raises:
            ValueError: If a name is empty, doubled, neither `O`, `B-X` nor `I-X`, or not printable,
                `O` is missing, or an `I-X` has no `B-X`.
        """
        known = set(self.names)
        for name in self.names:
            if name != OUTSIDE and (name[:2] not in ("B-", "I-") or len(name) < 3):
                raise ValueError(f"expected tags O, B-X or I-X, got {name!r}")
            if not name.isprintable():  # it could steer the terminal it is shown on
                raise ValueError(f"expected tags of printable characters, got {name!r}")
            if name.startswith("I-") and f"B-{name[2:]}" not in known:
                raise ValueError(f"expected B-{name[2:]} beside {name}, got {list(self.names)}")
        if OUTSIDE not in self.names:
            raise ValueError(f"expected the tag O, got {list(self.names)}")
        if len(known) != len(self.names):
            raise ValueError(f"expected every tag once, got {list(self.names)}")
        object.__setattr__(self, "_ids", {name: i for i, name in enumerate(self.names)})

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> Tags:
        """Return `O` and a B- and an I-tag for each label, labels sorted."""
        pairs = ((f"B-{label}", f"I-{label}") for label in sorted(set(labels)))
        return cls((OUTSIDE, *(name for pair in pairs for name in pair)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity labels in the order of their B-tags."""
        return tuple(name[2:] for name in self.names if name.startswith("B-"))

    def id_of(self, name: str) -> int:
        """Return the id of a tag.

        Raises:
            KeyError: If there is no such tag.
        """
        return self._ids[name]

    def __len__(self) -> int:
        """Return L, the number of tags."""
        return len(self.names)
