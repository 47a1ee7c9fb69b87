"""Owns the proof of what ran where: a profiled run, counted node by node.

The list of a session's providers says what it may use. Single nodes fall to the CPU without a
word all the same, so the nodes are counted by the provider that ran them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from serve.bundle import Provider
from serve.errors import GraphError


def nodes_by_provider(profile: Path) -> dict[str, int]:
    """Return how many nodes each provider ran, from the profile of a run.

    Raises:
        GraphError: If the profile names no node.
    """
    events = json.loads(profile.read_text(encoding="utf-8"))
    ran = {
        (event["args"]["node_index"], event["name"]): event["args"]["provider"]
        for event in events
        if event.get("cat") == "Node" and "provider" in event.get("args", {})
    }
    if not ran:
        raise GraphError(f"{profile}: expected a profile with nodes, got none; run a batch first")
    return dict(sorted(Counter(ran.values()).items()))


def check_placement(provider: Provider, nodes: Mapping[str, int]) -> None:
    """Close on a graph that ran elsewhere, in whole or in part.

    Raises:
        GraphError: If any node was run by another provider.
    """
    if set(nodes) != {str(provider)}:
        got = ", ".join(f"{count} on {name}" for name, count in nodes.items())
        raise GraphError(
            f"expected every node on {provider}, got {got}; "
            "install the build of onnxruntime for this hardware and its libraries"
        )
