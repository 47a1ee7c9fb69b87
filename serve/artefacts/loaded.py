"""Owns whether the weights of a checkpoint are all that its model has, finite, and no others.

Those that lack would be random, and pass for trained. Those in excess are dropped without a word,
and what answers would be another model: without adapters, a CRF or relative positions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from serve.artefacts.checkpoint import REMEDY
from serve.artefacts.pretrained import WEIGHTS
from serve.errors import CheckpointError

_NO_PART_OF_LOGITS = re.compile(
    r"((bert|electra|roberta)\.)?pooler\.dense\.\w+"
    r"|cls\.(predictions|seq_relationship)\..+"  # heads of pretraining: BERT's, and so on
    r"|lm_head\..+"  # RoBERTa's
    r"|vocab_(transform|layer_norm|projector)\.\w+"  # DistilBERT's
    r"|(generator_predictions|generator_lm_head|discriminator_predictions)\..+"  # ELECTRA's
)
"""Names of weights that nothing before a token classifier's logits reads. Positions that older
checkpoints hold, transformers does not count as weights."""


def check_loaded(folder: Path, loading: Mapping[str, Collection[Any]], family: str) -> None:
    """Refuse weights that are not the model's.

    Args:
        folder: The checkpoint.
        loading: What transformers says of its loading: names of keys that are missing, mismatched
            and unexpected.
        family: The model's.

    Raises:
        CheckpointError: Naming the first weight that lacks, or that the model has no place for.
    """
    lacking = [*loading["missing_keys"], *loading["mismatched_keys"]]
    if lacking:
        raise CheckpointError(
            f"{folder / WEIGHTS}: expected every weight of the model, got {len(lacking)} missing "
            f"or of another shape, first {min(map(str, lacking))}; {REMEDY}"
        )
    dropped = [key for key in loading["unexpected_keys"] if not _NO_PART_OF_LOGITS.fullmatch(key)]
    if dropped:
        raise CheckpointError(
            f"{folder / WEIGHTS}: expected no weights but those of a {family} token classifier, "
            f"got {len(dropped)} more, first {min(dropped)}; nothing would read them: merge "
            "adapters into the model, or train another with python -m train"
        )


def check_finite(folder: Path, parameters: Iterable[tuple[str, Any]]) -> None:
    """Refuse what a diverged training leaves.

    No score on lines sees a token that they lack, and one such row costs a text all its entities.

    Args:
        folder: The checkpoint or base model.
        parameters: Names and tensors of its weights.

    Raises:
        CheckpointError: Naming the first that is not finite.
    """
    for name, weight in parameters:
        if not weight.isfinite().all():
            num = int(weight.numel() - weight.isfinite().sum())
            raise CheckpointError(
                f"{folder / WEIGHTS}: expected finite weights, got {num:,} of {weight.numel():,} "
                f"that are NaN or infinite in {name}; train it again, with a lower learning rate"
            )
