"""Builds tiny untrained bases of every family, with a tokenizer of the kind each family has.

BERT, DistilBERT and ELECTRA share the tiny WordPiece tokenizer. RoBERTa's is a byte-level BPE and
XLM-RoBERTa's a Unigram over Metaspace, both trained on given lines in well under a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers.models import BPE, Unigram
from transformers import AutoConfig, AutoModel

from tests.conftest import tiny_tokenizer

MAX_POSITIONS = 66
"""Of which RoBERTa uses all but two for tokens."""
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")  # in the order of RoBERTa's ids
MASK = AddedToken("<mask>", lstrip=True, special=True)
_ENDS = (("</s>", 2), ("<s>", 0))


def byte_level_tokenizer(
    lines: Iterable[str], *, trim_offsets: bool = True, add_prefix_space: bool = False
) -> Tokenizer:
    """Return a tokenizer of RoBERTa's form, trained on the lines."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        *_ENDS, trim_offsets=trim_offsets, add_prefix_space=add_prefix_space
    )
    tokenizer.add_special_tokens([MASK])
    return tokenizer


def unigram_tokenizer(lines: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of XLM-RoBERTa's form, trained on the lines."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=3000,
        special_tokens=list(SPECIAL_TOKENS),
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([MASK])
    return tokenizer


def family_tokenizer(family: str, lines: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of a family's kind."""
    if family == "roberta":
        return byte_level_tokenizer(lines)
    return unigram_tokenizer(lines) if family == "xlm-roberta" else tiny_tokenizer()


def write_base(folder: Path, family: str, lines: Iterable[str]) -> Path:
    """Write an untrained base of two layers and its tokenizer; return the folder."""
    tokenizer = family_tokenizer(family, lines)
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    config = AutoConfig.for_model(
        family,
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=0.1,  # the word embeddings are never trained: let them differ
        **sizes,
        **({"type_vocab_size": 1} if "roberta" in family else {}),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
