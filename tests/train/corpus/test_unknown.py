"""Tokens that a base model's vocabulary lacks are told before it is trained in vain."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece

from serve.examples import Example, Span, write_jsonl
from train.__main__ import main
from train.corpus.unknown import unknown_id, warn_of_unknown_tokens
from train.model.base import find_base


def warnings(caplog: pytest.LogCaptureFixture, base: Path, *texts: str) -> list[str]:
    caplog.clear()
    found = find_base(str(base))
    windows = [window for text in found.encoder().encode(texts) for window in text.windows]
    warn_of_unknown_tokens(windows, found, Path("a.txt"))
    return [record.getMessage() for record in caplog.records if record.name.endswith("unknown")]


def test_lines_that_a_base_cannot_read_are_told(
    tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (told,) = warnings(caplog, tiny_base, "replace pump", "泵泵泵 pump")
    assert told == (
        f"warning: a.txt: 50 % of the tokens are unknown to {tiny_base}, which cannot tell them "
        "apart; name a base of the lines' language with --model"
    )


def test_a_training_says_so(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "dev"):
        lines = [Example(f"{text} pump", (Span(2, 6, "Item"),)) for text in "泵漏油更换皮带阀门"]
        write_jsonl(tmp_path / f"{split}.jsonl", lines)
    arguments = ["--data", str(tmp_path), "--model", str(tiny_base), "--epochs", "1"]
    assert main([*arguments, "--output", str(tmp_path / "checkpoint")]) == 0
    assert "train.jsonl: 50 % of the tokens are unknown to" in caplog.text


def test_a_few_unknown_tokens_are_not_told(
    tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["replace the pump"] * 3
    assert warnings(caplog, tiny_base, *lines, "泵") == []
    assert warnings(caplog, tiny_base, *lines, "泵", "泵") != []
    assert warnings(caplog, tiny_base, "", " ") == []


def test_a_tokenizer_without_a_token_for_the_unknown_knows_all() -> None:
    assert unknown_id(Tokenizer(BPE())) is None
    assert unknown_id(Tokenizer(WordPiece({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))) == 1
