"""Tests what is said to gRPC before it is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "import os, serve.triton.channels; print(os.environ['GRPC_EXPERIMENTS'])"


@pytest.mark.parametrize("own", [None, "event_engine_fork"])
def test_the_callers_thread_reads_its_answers_unless_the_user_wants_otherwise(
    own: str | None,
) -> None:
    environment = {name: v for name, v in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    if own:
        environment["GRPC_EXPERIMENTS"] = own
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (own or "-event_engine_client")
    assert done.stderr == "", "gRPC knows the name"
