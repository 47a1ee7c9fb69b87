"""Owns what Triton needs to serve the engines of a bundle by themselves: their names and settings.

It serves logits, not entities: the text stays with whoever calls it. The settings are those of the
repository's own `encoder`, see `serve.triton.encoder_config`.
"""

from __future__ import annotations

from serve.bundle import Precision
from serve.errors import needing
from serve.triton.profiles import Profile

REPOSITORY = "model_repository"
CONFIG = "config.pbtxt"
HEADER = "# Written by python -m export --tensorrt; see serve/triton/encoder_config.py.\n"


def check_packages() -> None:
    """Refuse to go on without what the settings are written with.

    Raises:
        ServerError: If tritonclient is not installed.
    """
    with needing("the package tritonclient", "triton"):
        import serve.triton.encoder_config  # noqa: F401


def model_name(precision: Precision) -> str:
    """Return the name Triton knows an engine by."""
    return f"tagger_tensorrt_{precision}"


def engine_config_text(precision: Precision, *, num_tags: int, profiles: list[Profile]) -> str:
    """Return `config.pbtxt` of an engine.

    Args:
        precision: Of the engine.
        num_tags: L, the number of tags it scores.
        profiles: Its optimization profiles.

    Raises:
        ServerError: If tritonclient is not installed.
    """
    check_packages()
    from serve.triton.config import as_text
    from serve.triton.encoder_config import plan_config

    config = plan_config(model_name(precision), num_tags=num_tags, profiles=profiles)
    return as_text(config, HEADER)
