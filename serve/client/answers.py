"""Owns what a server says of a text: the entities with their words, and who said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from serve.entities import Entity


class PipelineEntity(TypedDict):
    """An entity as transformers' token-classification pipeline gives it, aggregated.

    `word` is the text between the offsets; the pipeline joins tokens, which an uncased tokenizer
    has lowercased.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class AnswerJson(TypedDict):
    """An answer as JSON."""

    text: str
    version: str
    entities: list[PipelineEntity]


@dataclass(frozen=True, slots=True)
class TextEntity(Entity):
    """An entity that carries its words.

    Attributes:
        text: What of the tagged text it spans.
    """

    text: str

    def to_dict(self) -> PipelineEntity:
        """Return it in the shape of transformers' pipeline."""
        return PipelineEntity(
            entity_group=self.label,
            score=self.score,
            word=self.text,
            start=self.start,
            end=self.end,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says of one text.

    Attributes:
        text: The text that was asked about.
        entities: In the order of the text; they never overlap.
        version: The model's version that answered.
        request_id: Of the request it came in, as logs and the server know it.
    """

    text: str
    entities: tuple[TextEntity, ...]
    version: str
    request_id: str

    def to_dict(self) -> AnswerJson:
        """Return it as a JSON object, its entities in the shape of transformers' pipeline."""
        entities = [entity.to_dict() for entity in self.entities]
        return AnswerJson(text=self.text, version=self.version, entities=entities)
