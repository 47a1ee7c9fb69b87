"""Owns explanations as a page and as text: the words of a line, shaded by what they added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from serve.display.page import page
from serve.display.render import printable
from train.explanation.explain import Explanation, Reason

NUM_SHOWN = 5
"""Words of a line that the terminal shows, those that added most."""
_STYLE = """
.why { margin: .8rem 0; line-height: 1.9 } .why b { display: inline-block; width: 13em }
.why span { padding: .1rem .2rem; border-radius: .2rem; white-space: pre-wrap }
"""

Explained = Sequence[tuple[str, Sequence[Explanation]]]


def explanation_page(lines: Explained) -> str:
    """Return lines and why each of their entities was chosen, as a page."""
    return page("Why these entities", _sections(lines), style=_STYLE)


def explanation_text(text: str, explanations: Sequence[Explanation]) -> str:
    """Return a line and, for each entity, the words that added most and what they added."""
    rows = [printable(text)]
    for why in explanations:
        best = sorted(why.reasons, key=lambda reason: -reason.gradients)[:NUM_SHOWN]
        words = ", ".join(f"{text[r.start : r.end]} {r.gradients:+.2f}" for r in best)
        rows.append(printable(f"  {_name(text, why)}: {words}; rank agreement {_agreement(why)}"))
    return "\n".join(rows)


def _sections(lines: Explained) -> Iterator[str]:
    yield "<h1>Why these entities</h1>"
    yield (
        "<p>Green words spoke for an entity, red ones against it. Integrated gradients share out "
        "the log odds of its tags; occlusion, as the check, hides one word at a time.</p>"
    )
    for text, explanations in lines:
        yield f"<h2>{escape(printable(text))}</h2>"
        for why in explanations:
            yield (
                f'<div class="why">{escape(printable(_name(text, why)))}, log odds '
                f"{why.odds:.2f}, rank agreement {_agreement(why)}<br>"
                f"<b>integrated gradients</b>{_shaded(text, why, lambda r: r.gradients)}<br>"
                f"<b>occlusion</b>{_shaded(text, why, lambda r: r.occlusion)}</div>"
            )


def _name(text: str, why: Explanation) -> str:
    entity = why.entity
    return f"{entity.label} {text[entity.start : entity.end]!r} {entity.score:.3f}"


def _agreement(why: Explanation) -> str:
    return "none" if why.agreement is None else f"{why.agreement:.2f}"


def _shaded(text: str, why: Explanation, share: Callable[[Reason], float]) -> str:
    largest = max(abs(share(reason)) for reason in why.reasons) or 1.0
    words = []
    for reason in why.reasons:
        value = share(reason)
        hue, light = (140 if value > 0 else 10), 100 - 45 * abs(value) / largest
        word = escape(printable(text[reason.start : reason.end]))
        style = f"background:hsl({hue} 70% {light:.0f}%)"
        words.append(f'<span style="{style}" title="{value:+.3f}">{word}</span>')
    return " ".join(words)
