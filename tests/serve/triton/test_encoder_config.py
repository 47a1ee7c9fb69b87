"""Tests the encoder's configurations: as on record, read back, and held against the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from export.__main__ import main as export_main
from serve.bundle import Bundle
from serve.encoder_graph import read_encoder_graph
from serve.repository import publish
from serve.triton.encoder_config import HEADER, EncoderShape, encoder_configs, encoder_texts
from serve.triton.profiles import MAX_BATCH, profiles_for
from serve.versions.encoders import _write_settings as write_settings
from tests.serve.pbtxt import parse_config

GOLDEN = Path(__file__).parent / "golden"
PLAIN = EncoderShape(num_tags=7, max_tokens=64, ids="int64")
TENSORRT = EncoderShape(num_tags=7, max_tokens=64, ids="int32")
SHAPES = {"plain": PLAIN, "tensorrt": TENSORRT}
KINDS = {
    onnx.TensorProto.INT64: pb.TYPE_INT64,
    onnx.TensorProto.INT32: pb.TYPE_INT32,
    onnx.TensorProto.FLOAT: pb.TYPE_FP32,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_configurations_are_those_on_record(name: str) -> None:
    texts = encoder_texts(SHAPES[name])
    recorded = {path.name: path.read_text() for path in (GOLDEN / name).iterdir()}
    assert {file.replace("/", "-"): text for file, text in texts.items()} == recorded


@pytest.mark.parametrize("name", SHAPES)
def test_the_text_parses_back_to_the_same_configuration(name: str) -> None:
    texts, configs = encoder_texts(SHAPES[name]), encoder_configs(SHAPES[name])
    assert {file: parse_config(text) for file, text in texts.items()} == configs
    for text in texts.values():
        for stalls in ("queue_policy", "max_queue_size", "timeout", "priority"):
            assert stalls not in text


def test_each_backend_has_a_file_of_its_own() -> None:
    configs = encoder_configs(TENSORRT)
    assert {name: c.backend or c.platform for name, c in configs.items()} == {
        "config.pbtxt": "onnxruntime",
        "configs/embedded.pbtxt": "python",
        "configs/trt.pbtxt": "tensorrt_plan",
    }
    assert "configs/trt.pbtxt" not in encoder_configs(PLAIN), "there is no plan without its graph"


def test_tensorrt_gets_one_profile_for_all_shapes_and_a_cache_and_cuda_the_rest() -> None:
    """ONNX Runtime builds as many profiles as it is told of, and then runs the first alone."""
    config = encoder_configs(TENSORRT)["config.pbtxt"]
    tensorrt, cuda = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (tensorrt.name, cuda.name) == ("tensorrt", "cuda")
    assert "precision_mode" not in tensorrt.parameters, "the graph says its types itself"
    assert tensorrt.parameters["trt_engine_cache_enable"] == "true"
    low, best, high = (
        shapes_of(tensorrt.parameters[f"trt_profile_{end}_shapes"]) for end in ("min", "opt", "max")
    )
    for name in (spec.name for spec in config.input):
        for warmup in config.model_warmup:
            num_tokens = warmup.inputs[name].dims[0]
            for num_texts in (1, MAX_BATCH):
                assert low[name][0] <= num_texts <= high[name][0]
                assert low[name][1] <= num_tokens <= high[name][1]
        assert (low[name], best[name]) == ([1, 1], [8, 16]), "tuned for most lines"
        assert high[name] == [MAX_BATCH, TENSORRT.max_tokens]
    (alone,) = encoder_configs(PLAIN)[
        "config.pbtxt"
    ].optimization.execution_accelerators.gpu_execution_accelerator
    assert alone.name == "cuda"


def shapes_of(text: str) -> dict[str, list[int]]:
    """Return the shape of each input; refuse a second one, which would be another profile's."""
    rows = [row.split(":") for row in text.split(",")]
    shapes = {name: [int(size) for size in shape.split("x")] for name, shape in rows}
    assert len(shapes) == len(rows)
    return shapes


def test_a_plan_has_each_profile_and_triton_takes_the_nearest() -> None:
    plan = encoder_configs(TENSORRT)["configs/trt.pbtxt"]
    assert list(plan.instance_group[0].profile) == ["0", "1", "2"]
    assert len(profiles_for(TENSORRT.max_tokens)) == 3


def test_settings_that_were_written_before_a_mend_are_written_anew(tmp_path: Path) -> None:
    """The first told ONNX Runtime of several profiles; this line is what they are known by."""
    config = tmp_path / "config.pbtxt"
    first = HEADER + "# For 7 tags, 64 tokens, int32 ids, a graph for TensorRT.\n"
    config.write_text(first)
    write_settings(tmp_path, TENSORRT)
    assert config.read_text().startswith(first), "else a supervisor of before would write its own"
    assert config.read_text() == encoder_texts(TENSORRT)["config.pbtxt"]
    tuned = config.read_text() + "# tuned by hand\n"
    config.write_text(tuned)
    write_settings(tmp_path, TENSORRT)
    assert config.read_text() == tuned


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_each_length_bucket_is_warmed_up(shape: EncoderShape) -> None:
    for config in encoder_configs(shape).values():
        lengths = [dict(w.inputs)["input_ids"].dims[0] for w in config.model_warmup]
        assert lengths == [16, 32, 64]
        assert config.version_policy.HasField("all")


def test_settings_of_a_backend_that_a_shape_has_none_for_go_and_a_users_own_stay(
    tmp_path: Path,
) -> None:
    configs = tmp_path / "configs"
    write_settings(tmp_path, TENSORRT)
    (configs / "mine.pbtxt").write_text("# by hand\n")
    write_settings(tmp_path, TENSORRT)
    assert {path.name for path in configs.iterdir()} == {
        "embedded.pbtxt",
        "trt.pbtxt",
        "mine.pbtxt",
    }
    write_settings(tmp_path, PLAIN)
    assert {path.name for path in configs.iterdir()} == {"embedded.pbtxt", "mine.pbtxt"}
    assert (tmp_path / "config.pbtxt").read_text() == encoder_texts(PLAIN)["config.pbtxt"]


@pytest.fixture(scope="module", params=["fp32", "fp16", "tensorrt"])
def published(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a repository with an exported bundle."""
    folder = tmp_path_factory.mktemp(request.param)
    flags = [] if request.param == "fp32" else [f"--{request.param}"]
    arguments = ["--model", str(tiny_checkpoint), "--output", str(folder / "bundle")]
    assert export_main([*arguments, *flags]) == 0
    publish(folder / "bundle", folder / "repository")
    return folder / "repository"


def test_every_tensor_is_the_graphs_own(published: Path) -> None:
    encoder = published / "encoder"
    graph = onnx.load(encoder / "1" / "model.onnx").graph
    expected = [_described(value) for value in (*graph.input, *graph.output)]
    files = [encoder / "config.pbtxt", *sorted((encoder / "configs").iterdir())]
    bundle = Bundle.load(published / "tagger" / "1")
    assert len(files) == 2 + EncoderShape.of(bundle).is_for_tensorrt
    for path in files:
        config = parse_config(path.read_text())
        assert [_told(t, config) for t in (*config.input, *config.output)] == expected, path.name
    assert (encoder / "1" / "model.onnx").read_bytes() == read_encoder_graph(bundle)


def _described(value: onnx.ValueInfoProto) -> tuple[str, int, list[int]]:
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    return value.name, KINDS[tensor.elem_type], dims


def _told(tensor: Any, config: Any) -> tuple[str, int, list[int]]:
    assert config.max_batch_size == MAX_BATCH, "so that the batch is an axis in front"
    return tensor.name, tensor.data_type, [-1, *tensor.dims]
