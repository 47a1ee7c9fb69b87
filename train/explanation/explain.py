"""Owns the explanation of a line: for each of its entities, what each word added to the choice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr
from tqdm import tqdm

from serve.encoding import EncodedText
from serve.entities import Entity
from serve.words import NO_WORD
from train.explanation.attribution import Attribution, attribute
from train.explanation.choice import choice_of, log_odds
from train.task.mask import mask_id
from train.trained.model import Trained

MIN_RANKED = 3
"""Words from which on two orders can be compared."""
SHOWN_AFTER_S = 2.0
"""A line that takes longer is long, and shows how far it is."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What a word added to a choice, in log odds (nats); negative where it spoke against it.

    Attributes:
        start: Offset of the word's first character.
        end: Offset after its last.
        gradients: By integrated gradients.
        occlusion: By how much the log odds fall when the word is hidden.
    """

    start: int
    end: int
    gradients: float
    occlusion: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an entity was chosen.

    Attributes:
        entity: The entity.
        reasons: Each word the model saw beside it, itself included, in the text's order.
        odds: Log odds of its tags, in nats.
        hidden_odds: The same with every word hidden.
        completeness_error: Part of the difference that the gradients do not account for.
        agreement: Rank correlation (Spearman) of gradients and occlusion over the words, in
            [-1, 1]; None for fewer than `MIN_RANKED` words.
    """

    entity: Entity
    reasons: tuple[Reason, ...]
    odds: float
    hidden_odds: float
    completeness_error: float
    agreement: float | None


class Explainer:
    """Explains the entities of one model."""

    def __init__(self, trained: Trained) -> None:
        """Take a checkpoint.

        Raises:
            CheckpointError: If its tokenizer has nothing to hide words behind.
        """
        self._trained = trained
        self._tagger = trained.tagger()
        self._mask_id = mask_id(trained.tokenizer)

    def explain(self, text: str) -> list[Explanation]:
        """Return why each entity of a text was chosen, in the order of the text.

        Raises:
            DataError: If the text is too long or not valid Unicode.
        """
        (encoded,) = self._tagger.encoder.encode([text])
        (tags,) = self._tagger.word_tags([text])
        (entities,) = self._tagger.tag([text])
        with tqdm(entities, "entities", leave=False, delay=SHOWN_AFTER_S, disable=None) as bar:
            return [self._explanation(entity, encoded, tags) for entity in bar]

    def _explanation(self, entity: Entity, text: EncodedText, tags: Sequence[str]) -> Explanation:
        choice = choice_of(entity, text, tags, self._trained.tags)
        model = self._trained.model
        found = attribute(model, log_odds(model, choice), choice.window, self._mask_id)
        reasons = _reasons(found, choice.window.word_ids, text.offsets)
        return Explanation(
            entity=entity,
            reasons=reasons,
            odds=found.odds,
            hidden_odds=found.hidden_odds,
            completeness_error=found.completeness_error,
            agreement=rank_correlation(
                [reason.gradients for reason in reasons], [reason.occlusion for reason in reasons]
            ),
        )


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's correlation, in [-1, 1]; None where there is nothing to rank."""
    if len(first) < MIN_RANKED:
        return None
    if min(first) == max(first) or min(second) == max(second):
        return None
    return float(spearmanr(first, second).statistic)


def _reasons(
    found: Attribution, word_ids: Sequence[int], offsets: Sequence[tuple[int, int]]
) -> tuple[Reason, ...]:
    gradients: dict[int, float] = defaultdict(float)
    occlusion: dict[int, float] = {}
    for token, word in enumerate(word_ids):
        if word != NO_WORD:
            gradients[word] += found.gradients[token]
            occlusion[word] = found.occlusion[token]
    return tuple(Reason(*offsets[word], gradients[word], occlusion[word]) for word in gradients)
