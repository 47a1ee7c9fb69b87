"""Owns what an execution provider is asked for beside running the graph, and that it took it."""

from __future__ import annotations

from collections.abc import Mapping

from serve.bundle import Provider
from serve.errors import GraphError


def provider_options(provider: Provider, *, cuda_graphs: bool) -> dict[str, str]:
    """Return the options a provider is asked for; the CPU has none.

    TF32 is off, so that FP32 means FP32. Memory grows by what is asked for and not by doubling,
    so that a batch of a new shape does not take twice what it needs.
    """
    if provider is not Provider.CUDA:
        return {}
    return {
        "arena_extend_strategy": "kSameAsRequested",
        "enable_cuda_graph": str(int(cuda_graphs)),
        "use_tf32": "0",
    }


def check_options(asked: Mapping[str, str], reported: Mapping[str, str]) -> None:
    """Close on a session that runs with other options than it was given.

    Raises:
        GraphError: Naming the option.
    """
    for name, value in asked.items():
        if reported.get(name) != value:
            raise GraphError(
                f"expected the provider option {name}={value}, got {reported.get(name)}; "
                "install the build of onnxruntime for this hardware and its libraries"
            )
