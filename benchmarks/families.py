"""Owns the shapes that are measured, and checkpoints of them with random weights.

Latency does not depend on what a model has learned, so weights come from a seed and need no
download. A random checkpoint is written in Hugging Face form and taken in by the door a user's own
goes through. Its tokenizer has every word of the texts as one token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertForTokenClassification
from transformers.utils import logging as transformers_logging

from serve.bundle import TOKENIZER
from serve.labels import Tags

SEED = 1
VOCABULARY_SIZE = 30_522  # uncased BERT's
MAX_TOKENS = 512
LABELS = tuple(f"Label{i}" for i in range(10))
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class Family:
    """Sizes of a BERT.

    Attributes:
        name: As people call it.
        num_layers: Transformer layers.
        num_heads: Attention heads.
        hidden_size: Width of the encoder; the feed-forward layer is four times as wide.
        vocabulary_size: Rows of the word embeddings.
    """

    name: str
    num_layers: int
    num_heads: int
    hidden_size: int
    vocabulary_size: int = VOCABULARY_SIZE


MINILM = Family("MiniLM", 6, 12, 384)
BERT_BASE = Family("BERT-base", 12, 12, 768)
BERT_LARGE = Family("BERT-large", 24, 16, 1024)
TINY = Family("tiny", 2, 4, 32, vocabulary_size=2_000)
"""For a rehearsal on a CPU."""


def write_random_checkpoint(family: Family, folder: Path, words: Iterable[str]) -> None:
    """Write a tagger of a family with weights drawn from `SEED`.

    Args:
        family: Its sizes.
        folder: Where it goes; made if missing.
        words: What the tokenizer knows as one token each.
    """
    tags = Tags.from_labels(LABELS)
    config = BertConfig(
        vocab_size=family.vocabulary_size,
        hidden_size=family.hidden_size,
        num_hidden_layers=family.num_layers,
        num_attention_heads=family.num_heads,
        intermediate_size=4 * family.hidden_size,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=0,
        id2label=dict(enumerate(tags.names)),
        label2id={name: i for i, name in enumerate(tags.names)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = BertForTokenClassification(config)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    _tokenizer(family, words).save(str(folder / TOKENIZER))


def _tokenizer(family: Family, words: Iterable[str]) -> Tokenizer:
    """Return a tokenizer in BERT's form; tokens nobody uses fill its vocabulary."""
    known = dict.fromkeys((*_SPECIAL_TOKENS, *words))
    unused = (f"[unused{i}]" for i in range(family.vocabulary_size - len(known)))
    vocabulary = {token: i for i, token in enumerate((*known, *unused))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    return tokenizer
