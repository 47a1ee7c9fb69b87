"""Owns models of a known shape with random weights: speed depends on sizes, not on what was learnt.

So no model hub is needed to measure a BERT-base. Its words are made up, one token each.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertForTokenClassification
from transformers.utils import logging as transformers_logging

from serve.labels import Tags

SEED = 1
WORDS = tuple(f"part{number}" for number in range(1000))
"""What texts for such a model are made of."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LABELS = ("Activity", "Item", "Observation")


class ShapeName(StrEnum):
    """Shapes by the names they are known by."""

    MINILM = "minilm"
    BERT_BASE = "bert-base"


_SIZES = {  # layers, width, heads, width between the two products of a feed-forward layer
    ShapeName.MINILM: (6, 384, 12, 1536),
    ShapeName.BERT_BASE: (12, 768, 12, 3072),
}


def write_random_checkpoint(folder: Path, shape: ShapeName) -> None:
    """Write a checkpoint in Hugging Face form with seeded random weights, 512 positions.

    Args:
        folder: Where; made if it is missing.
        shape: Its sizes.
    """
    tags = Tags.from_labels(_LABELS)
    layers, width, heads, inner = _SIZES[shape]
    config = BertConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=inner,
        id2label=dict(enumerate(tags.names)),
        label2id={name: number for number, name in enumerate(tags.names)},
    )
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        BertForTokenClassification(config).save_pretrained(folder)
    _tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))


def _tokenizer() -> Tokenizer:
    vocabulary = {token: number for number, token in enumerate((*_SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    return tokenizer
