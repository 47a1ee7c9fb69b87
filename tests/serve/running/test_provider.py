"""Tests what a provider is asked for, and that a session which did not take it is refused."""

from __future__ import annotations

import pytest

from serve.bundle import Provider
from serve.errors import GraphError
from serve.running.provider import check_options, provider_options


def test_the_options_of_a_gpu_are_asked_for_and_read_back() -> None:
    asked = provider_options(Provider.CUDA, cuda_graphs=True)
    assert asked == {
        "arena_extend_strategy": "kSameAsRequested",
        "enable_cuda_graph": "1",
        "use_tf32": "0",
    }
    assert provider_options(Provider.CUDA, cuda_graphs=False)["enable_cuda_graph"] == "0"
    assert provider_options(Provider.CPU, cuda_graphs=True) == {}
    check_options(asked, {**asked, "device_id": "0"})
    with pytest.raises(GraphError, match=r"provider option enable_cuda_graph=1, got 0"):
        check_options(asked, {**asked, "enable_cuda_graph": "0"})
