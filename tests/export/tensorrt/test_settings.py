"""Profiles, build script and Triton's settings: complete, in order, and read back as written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from export.__main__ import main
from export.tensorrt.commands import build_script
from export.tensorrt.triton import engine_config_text
from serve.bundle import Precision, sha256
from serve.errors import GraphError
from serve.triton.profiles import MAX_BATCH, buckets, from_json, profiles_for, to_json
from tests.serve.pbtxt import parse_config


def test_every_length_has_exactly_one_profile() -> None:
    profiles = profiles_for(512)
    for num_tokens in range(1, 513):
        fits = [p for p in profiles if p["input_ids"].min[1] <= num_tokens <= p["input_ids"].max[1]]
        assert len(fits) == 1
    assert all(p["input_ids"] == p["attention_mask"] for p in profiles)
    assert {(p["input_ids"].min[0], p["input_ids"].max[0]) for p in profiles} == {(1, MAX_BATCH)}


@pytest.mark.parametrize(
    ("max_tokens", "lengths"), [(512, [16, 32, 64, 128, 256, 512]), (20, [16, 20]), (8, [8])]
)
def test_buckets_double_up_to_what_the_model_takes(max_tokens: int, lengths: list[int]) -> None:
    assert buckets(max_tokens) == lengths


def test_profiles_are_read_back_as_written() -> None:
    assert from_json(to_json(profiles_for(64))) == profiles_for(64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"profiles": []}',
        '{"profiles": [1]}',
        '{"profiles": [{"input_ids": {"min": [1], "opt": [1]}}]}',
        '{"profiles": [{"input_ids": {"min": [1, 8], "opt": [1, 4], "max": [1, 16]}}]}',
        '{"profiles": [{"input_ids": {"min": [0, 1], "opt": [1, 4], "max": [1, 16]}}]}',
        '{"profiles": [{"input_ids": {"min": [1], "opt": [1, 4], "max": [1, 16]}}]}',
    ],
)
def test_damaged_profiles_are_refused(text: str) -> None:
    with pytest.raises(GraphError, match="expected a list of profiles"):
        from_json(text)


@pytest.mark.parametrize("named", [None, "my engines"])
def test_the_build_script_calls_trtexec_with_every_profile(
    tmp_path: Path, named: str | None
) -> None:
    """The engines go beside the bundle, or where one says, and leave it as it is."""
    graphs = {Precision.FP16: "model_fp16.onnx", Precision.INT8: "model_int8.onnx"}
    (tmp_path / "trtexec").write_text('#!/bin/sh\nfor a; do echo "$a"; done >> "$PWD/calls"\n')
    (tmp_path / "trtexec").chmod(0o755)
    bundle = tmp_path / "my bundle"
    for precision in graphs:
        settings = bundle / f"tensorrt/model_repository/tagger_tensorrt_{precision}/config.pbtxt"
        settings.parent.mkdir(parents=True)
        settings.write_text(precision)
        (bundle / "tensorrt" / graphs[precision]).write_text(f"graph in {precision}")
    (bundle / "tensorrt/build.sh").write_text(build_script(graphs, profiles_for(32)))
    before = sorted(bundle.rglob("*"))
    subprocess.run(
        ["sh", bundle / "tensorrt/build.sh", *([named] if named else [])],
        check=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert sorted(bundle.rglob("*")) == before
    engines = tmp_path / (named or "my bundle-engines")
    calls = (tmp_path / "calls").read_text().split("--stronglyTyped\n")[1:]
    assert len(calls) == 2
    for precision, call in zip(graphs, calls, strict=True):
        flags = call.splitlines()
        model = engines / f"tagger_tensorrt_{precision}"
        assert (model / "config.pbtxt").read_text() == precision
        plan = model / "1/model.plan"
        assert f"--onnx={bundle / 'tensorrt' / graphs[precision]}" in flags
        assert f"--saveEngine={plan if named is None else plan.relative_to(tmp_path)}" in flags
        assert plan.parent.is_dir()
        assert flags[flags.index("--profile=1") + 1 :] == [
            "--minShapes=input_ids:1x17,attention_mask:1x17",
            "--optShapes=input_ids:8x32,attention_mask:8x32",
            "--maxShapes=input_ids:32x32,attention_mask:32x32",
        ]
        assert not {"--fp16", "--int8", "--best"} & set(flags)  # TensorRT 11 has none of them
        built_from = (plan.parent / "model.plan.graph").read_text().split()[0]
        assert built_from == sha256(f"graph in {precision}".encode())


def test_a_build_that_fails_leaves_no_note_of_what_the_plan_was_built_from(tmp_path: Path) -> None:
    (tmp_path / "trtexec").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "trtexec").chmod(0o755)
    folder = tmp_path / "bundle" / "tensorrt"
    settings = folder / "model_repository" / "tagger_tensorrt_fp16" / "config.pbtxt"
    settings.parent.mkdir(parents=True)
    settings.touch()
    (folder / "model_fp16.onnx").touch()
    (folder / "build.sh").write_text(
        build_script({Precision.FP16: "model_fp16.onnx"}, profiles_for(32))
    )
    note = tmp_path / "bundle-engines" / "tagger_tensorrt_fp16" / "1" / "model.plan.graph"
    note.parent.mkdir(parents=True)
    note.write_text("of the last build")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(["sh", folder / "build.sh"], check=False, env=environment).returncode == 1
    assert not note.exists()


def test_the_settings_offer_every_profile_and_parse_back() -> None:
    config = parse_config(engine_config_text(Precision.FP16, num_tags=7, profiles=profiles_for(64)))
    assert config.name == "tagger_tensorrt_fp16"
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", MAX_BATCH)
    assert list(config.instance_group[0].profile) == ["0", "1", "2"]
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [
        ("input_ids", pb.TYPE_INT32, [-1]),
        ("attention_mask", pb.TYPE_INT32, [-1]),
    ]
    assert [(t.data_type, list(t.dims)) for t in config.output] == [(pb.TYPE_FP32, [-1, 7])]


def test_a_package_that_the_settings_need_is_missed_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("serve.triton.config", "serve.triton.encoder_config"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    nowhere = ["--model", str(tmp_path / "none"), "--output", str(tmp_path / "bundle")]
    assert main([*nowhere, "--tensorrt"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: expected the package tritonclient, got ")
    assert error.endswith("; pip install '.[triton]' in linetag's folder\n")
