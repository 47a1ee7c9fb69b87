"""Tests the other world on a real Triton: the tagger calls the encoder, and answers the same.

The tagger runs with the very config.pbtxt that NVIDIA's container reads. For the encoder, whose C++
backend is not here, the Python one stands in, by the configuration that `publish` wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import serve.triton.launch
from benchmarks.triton import TritonServer, start_triton
from export.__main__ import main as export_main
from serve.client import Policy, TritonTagger
from serve.errors import ServerError
from serve.repository import publish, versions
from serve.tagger import Tagger
from serve.triton.processes import processes_of
from serve.versions.servers import RunningServers
from tests.serve.tiny import are_same, noisy_lines, write_bundle

pytestmark = pytest.mark.triton
PATIENT = Policy(deadline_s=20.0, try_timeout_s=20.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("called") / "bundle")


@pytest.fixture(scope="module")
def repository(bundle: Path) -> Path:
    repository = bundle.parent / "repository"
    publish(bundle, repository)
    configs = repository / "encoder" / "configs"
    shutil.copy(configs / "embedded.pbtxt", configs / "python.pbtxt")
    return repository


@pytest.fixture(scope="module")
def server(repository: Path, environment: Path) -> Iterator[TritonServer]:
    """Return a server as the container is: both models, and the tagger's config.pbtxt."""
    with pytest.MonkeyPatch.context() as patch:
        real = serve.triton.launch._identity

        def both(order: object, prefix: str) -> list[str]:
            arguments = [a for a in real(order, prefix) if "--model-config-name" not in a]
            return [*arguments, "--model-config-name=python", "--load-model=encoder"]

        patch.setattr(serve.triton.launch, "_identity", both)
        server = start_triton(repository, environment=environment)
    with server:
        yield server


def test_the_called_graph_answers_as_the_one_in_process(server: TritonServer, bundle: Path) -> None:
    embedded = Tagger.load(bundle)
    lines = noisy_lines(600, seed=5)
    expected = embedded.tag(lines)
    parts = [lines[i::8] for i in range(8)]
    with TritonTagger(server.url, policy=PATIENT) as client, ThreadPoolExecutor(8) as pool:
        together = client.tag(lines)
        alone = list(pool.map(lambda part: [client.tag([line])[0] for line in part], parts))
    assert are_same(together, expected)
    for part, answers in enumerate(alone):
        assert are_same(answers, expected[part::8])
    assert sum(map(len, expected)) > 300


def test_the_server_says_that_the_encoder_runs_the_graph(server: TritonServer) -> None:
    with TritonTagger(server.url, policy=PATIENT) as client:
        assert client.graph() == {
            "file": "model_fp32.onnx",
            "precision": "fp32",
            "provider": "encoder",
            "version": "1",
        }
    assert len(processes_of(server.state.prefix)) == 4, "server, two that tokenise, the encoder"


def test_a_version_comes_to_serve_with_its_encoder_and_the_old_pair_goes(
    server: TritonServer, bundle: Path, repository: Path
) -> None:
    with TritonTagger(server.url, policy=PATIENT) as client:
        running = RunningServers(repository)
        assert publish(bundle, repository, servers=running, heard_s=1.5) == 2
        assert client.ask(["fix pump"])[0].version == "2"
        assert client.tag(["fix pump"]) == Tagger.load(bundle).tag(["fix pump"])
    assert versions(repository) == [2]
    assert [path.name for path in (repository / "encoder").glob("[0-9]")] == ["2"]


def test_a_version_of_other_labels_has_no_encoder_here_and_is_refused(
    server: TritonServer, bundle: Path, repository: Path, tmp_path: Path
) -> None:
    from serve.labels import Tags
    from tests.serve.tiny import replace_file, tiny_graph

    tags = Tags.from_labels(["Activity", "Item"])
    other = write_bundle(tmp_path / "other", tags=tags)
    replace_file(other, "model_fp32.onnx", tiny_graph(num_tags=len(tags)))
    before = versions(repository)
    with pytest.raises(ServerError, match=r"expected version 3 to answer .* encoder"):
        publish(other, repository, servers=RunningServers(repository), heard_s=0)
    assert versions(repository) == before
    with TritonTagger(server.url, policy=PATIENT) as client:
        assert client.tag(["fix pump"]) == Tagger.load(bundle).tag(["fix pump"])


def test_the_graph_for_tensorrt_is_called_with_its_own_type_of_ids(
    tiny_checkpoint: Path, tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = tmp_path / "bundle"
    assert (
        export_main(["--model", str(tiny_checkpoint), "--output", str(exported), "--tensorrt"]) == 0
    )
    repository = tmp_path / "repository"
    publish(exported, repository)
    configs = repository / "encoder" / "configs"
    shutil.copy(configs / "embedded.pbtxt", configs / "python.pbtxt")
    real = serve.triton.launch._identity
    monkeypatch.setattr(
        serve.triton.launch,
        "_identity",
        lambda order, prefix: [
            *(a for a in real(order, prefix) if "--model-config-name" not in a),
            "--model-config-name=python",
            "--load-model=encoder",
        ],
    )
    lines = ["replace oil pump", "PLEASE clean the engine", "hydraulic hose is leaking ."]
    expected = [
        [(e.label, e.start, e.end) for e in row] for row in Tagger.load(exported).tag(lines)
    ]
    with (
        start_triton(repository, environment=environment) as server,
        TritonTagger(server.url, policy=PATIENT) as client,
    ):
        assert client.graph()["file"] == "tensorrt/model_fp16.onnx"
        answers = client.tag(lines)
    assert [[(e.label, e.start, e.end) for e in row] for row in answers] == expected
    assert all(expected)


def test_the_whole_repository_loads_in_a_triton_that_is_told_nothing(
    repository: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the container does: every model of the repository, no explicit control."""
    real = serve.triton.launch._identity
    monkeypatch.setattr(
        serve.triton.launch,
        "_identity",
        lambda order, prefix: [
            a for a in real(order, prefix) if "control-mode" not in a and "--load-model" not in a
        ],
    )
    with (
        start_triton(repository, environment=environment) as server,
        TritonTagger(server.url, policy=PATIENT) as client,
    ):
        assert client.graph()["provider"] == "CPUExecutionProvider"
        assert len(processes_of(server.state.prefix)) == 3, "server, tagger, encoder"
