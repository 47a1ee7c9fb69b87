"""Owns the check that a checkpoint's two files on its tokenizer say the same.

transformers makes the tokenizers of these families anew from the vocabulary and
`tokenizer_config.json`; this project, like whoever names `PreTrainedTokenizerFast` there, takes
`tokenizer.json` as it stands. Where they differ the model was trained on other tokens than it would
be given here, and no score could see it: the reference gets the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from serve.artefacts.pretrained import TOKENIZER, TOKENIZER_CONFIG
from serve.errors import CheckpointError

_AS_IT_STANDS = ("PreTrainedTokenizerFast", "TokenizersBackend")
_NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_PRE_TOKENIZER = {"add_prefix_space": "add_prefix_space"}


def check_settings(folder: Path, settings: Mapping[str, Any], tokenizer: Tokenizer) -> None:
    """Refuse a `tokenizer_config.json` that contradicts `tokenizer.json`.

    Args:
        folder: Where both lie.
        settings: What the first says.
        tokenizer: What the second makes.

    Raises:
        CheckpointError: Naming the setting.
    """
    if settings.get("tokenizer_class") in _AS_IT_STANDS:
        return
    path = folder / TOKENIZER_CONFIG
    _compare(path, settings, tokenizer.normalizer, _NORMALIZER)
    _compare(path, settings, tokenizer.pre_tokenizer, _PRE_TOKENIZER)


def _compare(path: Path, settings: Mapping[str, Any], part: object, names: dict[str, str]) -> None:
    for setting, attribute in names.items():
        if setting not in settings or not hasattr(part, attribute):
            continue
        expected, got = getattr(part, attribute), settings[setting]
        if got != expected:
            raise CheckpointError(
                f"{path}: expected {setting} {json.dumps(expected)}, as {TOKENIZER} has it, got "
                f"{got!r:.80}; save both from the tokenizer that the model was trained with"
            )
