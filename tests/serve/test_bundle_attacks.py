"""Attacks by way of a bundle: each is refused, by all that load one, and nothing outside is read.

An attacker supplies the folder, with hashes and seal renewed, and wants bytes of the machine that
loads it to be read, or code to run. The outside files are those the links and paths lead to.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from export.verification.verify import verify
from serve.artefacts.parts import MAX_JSON_BYTES
from serve.bundle import seal
from serve.errors import BundleError
from serve.repository import publish
from serve.tagger import Tagger
from tests.outside import nothing_read_of
from tests.serve.tiny import replace_file, tiny_graph, write_bundle

GRAPH = "model_fp32.onnx"
SECRET = "weights.bin"
Attack = Callable[[Path, Path], object]
ATTACKS: dict[str, tuple[Attack, str]] = {}
"""What to do to a sound bundle, given a folder outside, and why that is refused."""


def attack(reason: str) -> Callable[[Attack], None]:
    """Register an attack."""
    return lambda function: ATTACKS.update({function.__name__: (function, reason)})


def attacks(
    name: str, *parts: str, reason: str
) -> Callable[[Callable[[Path, Path, str], object]], None]:
    """Register an attack for each of several files or names."""

    def register(function: Callable[[Path, Path, str], object]) -> None:
        for part in parts:
            ATTACKS[f"{name} {part!r}"] = lambda b, o, part=part: function(b, o, part), reason

    return register


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and renew its seal."""
    body = json.loads((bundle / "manifest.json").read_text())
    del body["sha256"]
    change(body)
    (bundle / "manifest.json").write_text(json.dumps({**body, "sha256": seal(body)}))


def edit_graph(bundle: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Change the graph, and let the manifest vouch for it."""
    model = onnx.load_from_string(tiny_graph())
    change(model)
    replace_file(bundle, GRAPH, model.SerializeToString())


def edit_tokenizer(bundle: Path, **changes: object) -> None:
    """Change the tokenizer, and let the manifest vouch for it."""
    tokenizer = json.loads((bundle / "tokenizer.json").read_text()) | changes
    replace_file(bundle, "tokenizer.json", json.dumps(tokenizer).encode())


def external(location: str, **more: str) -> TensorProto:
    """Return a tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(64, np.float32), "stolen")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "length": "256", **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


STOLEN = "expected every weight in the file, got 'stolen' elsewhere"
FILES = ("manifest.json", "labels.json", "tokenizer.json", GRAPH)


@attacks("symbolic link", *FILES, reason="a symbolic link")
def _(bundle: Path, outside: Path, name: str) -> None:
    shutil.move(bundle / name, outside / name)
    (bundle / name).symlink_to(outside / name)


@attacks("relative link", "labels.json", GRAPH, reason="a symbolic link")
def _(bundle: Path, outside: Path, name: str) -> None:
    shutil.move(bundle / name, outside / name)
    (bundle / name).symlink_to(f"../outside/{name}")


@attacks("hard link", *FILES, reason="a file with 2 names, a hard link")
def _(bundle: Path, outside: Path, name: str) -> None:
    os.link(bundle / name, outside / name)


@attacks(
    "link into the system",
    *("/proc/self/environ", "/dev/zero", "/etc/passwd"),
    reason="a symbolic link",
)
def _(bundle: Path, outside: Path, name: str) -> None:
    (bundle / "labels.json").unlink()
    (bundle / "labels.json").symlink_to(name)


@attack("a symbolic link")
def link_to_itself(bundle: Path, outside: Path) -> None:
    (bundle / GRAPH).unlink()
    (bundle / GRAPH).symlink_to(GRAPH)


@attacks("pipe that is waited for", "manifest.json", "tokenizer.json", reason="a folder, device or")
def _(bundle: Path, outside: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)


@attacks(
    "graph's name",
    *("../outside/model.onnx", "/etc/model.onnx", "a/b.onnx", "..", "", "a\0.onnx", "a\n.onnx"),
    *("a b.onnx", "ä.onnx", f"{'x' * 60}.onnx"),
    reason="expected a file name",
)
def _(bundle: Path, outside: Path, name: str) -> None:
    shutil.copy(bundle / GRAPH, outside / "model.onnx")
    edit(bundle, lambda body: body["graphs"][0].update(file=name))


@attacks(
    "other kind of file", "model.py", "manifest.json", "config.pbtxt", reason="to end in .onnx"
)
def _(bundle: Path, outside: Path, name: str) -> None:
    edit(bundle, lambda body: body["graphs"][0].update(file=name))


@attacks(
    "file's name",
    *("../outside/weights.bin", "/etc/passwd", "a/../../x", "~/x", "a\\b"),
    reason="expected a file name",
)
def _(bundle: Path, outside: Path, name: str) -> None:
    edit(bundle, lambda body: body["files"].update({name: "0" * 64}))


@attack("got two in one")
def two_graphs_in_one_file(bundle: Path, outside: Path) -> None:
    edit(bundle, lambda body: body["graphs"].append(body["graphs"][0]))


@attacks(
    "external weights",
    *("/proc/self/environ", "../outside/weights.bin", "weights.bin", "*/_ORT_MEM_ADDR_/*"),
    reason=STOLEN,
)
def _(bundle: Path, outside: Path, location: str) -> None:
    os.link(outside / SECRET, bundle / "weights.bin")  # in the folder, and outside all the same
    address = str(id(bundle))
    edit_graph(bundle, lambda m: m.graph.initializer.append(external(location, offset=address)))


@attack(STOLEN)
def external_constant(bundle: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external(str(outside / SECRET)))
    edit_graph(bundle, lambda model: model.graph.node.append(node))


@attack(STOLEN)
def external_constant_in_a_branch(bundle: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external(str(outside / SECRET)))
    value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [64])
    branch = helper.make_graph([node], "branch", [], [value])
    chosen = helper.make_node("If", ["yes"], ["d"], then_branch=branch, else_branch=branch)
    yes = numpy_helper.from_array(np.array(True), "yes")

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(yes)
        model.graph.node.append(chosen)

    edit_graph(bundle, change)


@attack(STOLEN)
def external_constant_in_a_function(bundle: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external(str(outside / SECRET)))
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "f", [], ["c"], [node], opset)
    edit_graph(bundle, lambda model: model.functions.append(function))


@attack(STOLEN)
def external_sparse_weights(bundle: Path, outside: Path) -> None:
    sparse = onnx.SparseTensorProto(values=external(str(outside / SECRET)), dims=[64])
    edit_graph(bundle, lambda model: model.graph.sparse_initializer.append(sparse))


@attack(STOLEN)
def external_weights_of_training(bundle: Path, outside: Path) -> None:
    graph = onnx.GraphProto(initializer=[external(str(outside / SECRET))])
    info = onnx.TrainingInfoProto(initialization=graph)
    edit_graph(bundle, lambda model: model.training_info.append(info))


@attack("a field of more than 32 bits")
def external_weights_behind_an_overlong_tag(bundle: Path, outside: Path) -> None:
    """Parsers of C++ take the lower 32 bits of a tag: this one is `graph` all the same."""
    graph = onnx.GraphProto(initializer=[external(str(outside / SECRET))]).SerializeToString()
    tag = bytes([0x80 | 7 << 3 | 2, 0x80, 0x80, 0x80, 0x10])
    size = bytes([0x80 | len(graph) & 0x7F, len(graph) >> 7])
    replace_file(bundle, GRAPH, tiny_graph() + tag + size + graph)


@attack("got an EPContext node, which names a file")
def engine_in_another_file(bundle: Path, outside: Path) -> None:
    node = helper.make_node(
        "EPContext",
        [],
        ["c"],
        domain="com.microsoft",
        embed_mode=0,
        ep_cache_context=str(outside / SECRET),
    )
    edit_graph(bundle, lambda model: model.graph.node.append(node))


@attack("subgraphs nested too deep")
def subgraphs_without_end(bundle: Path, outside: Path) -> None:
    content = b""
    for _ in range(2000):  # a graph in an attribute in a node in a graph
        for field in (6, 5, 1):
            content = bytes([field << 3 | 2]) + _varint(len(content)) + content
    replace_file(bundle, GRAPH, b"\x3a" + _varint(len(content)) + content)


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@attacks("pickle", "labels.json", "tokenizer.json", GRAPH, reason="(codec|an ONNX graph, got)")
def _(bundle: Path, outside: Path, name: str) -> None:
    replace_file(bundle, name, pickle.dumps(Payload(outside / "ran")))


@attacks(
    "table of characters",
    *("AAAA", "/////w==", "BQAAAAAAAA=="),  # too short, of 4 GB, of a byte more than there are
    reason="tokenizer.json: expected a tokenizer, got .*precompiled_charsmap",
)
def _(bundle: Path, outside: Path, table: str) -> None:
    edit_tokenizer(bundle, normalizer={"type": "Precompiled", "precompiled_charsmap": table})


@attack("tokenizer.json: expected a tokenizer, got .*precompiled_charsmap")
def table_of_characters_that_a_second_one_hides(bundle: Path, outside: Path) -> None:
    tokenizer = (bundle / "tokenizer.json").read_text().lstrip("{ \n")
    evil = '"type": "Precompiled", "precompiled_charsma\\u0070": "/////w=="'
    replace_file(bundle, "tokenizer.json", f'{{"normalizer": {{{evil}}}, {tokenizer}'.encode())


@attack("tokenizer.json: expected a tokenizer, got expected texts that the tokenizer takes")
def tokenizer_that_takes_no_text(bundle: Path, outside: Path) -> None:
    empty = {"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}
    edit_tokenizer(bundle, normalizer=empty)


@attacks("file of a terabyte", *FILES, reason="1,099,511,627,776 bytes, more than")
def _(bundle: Path, outside: Path, name: str) -> None:
    os.truncate(bundle / name, 2**40)


@attack("to have up to 2,147,483,648 bytes, got 1,099,511,627,776")
def graph_of_a_terabyte_that_the_manifest_vouches_for(bundle: Path, outside: Path) -> None:
    os.truncate(bundle / GRAPH, 2**40)
    edit(bundle, lambda body: body["graphs"][0].update(size_bytes=2**40))


@attack("bytes, more than 4,194,304")
def manifest_beyond_the_cap(bundle: Path, outside: Path) -> None:
    edit(bundle, lambda body: body["versions"].update(x="x" * MAX_JSON_BYTES))


@attack("Not a directory")
def archive_in_place_of_a_bundle(bundle: Path, outside: Path) -> None:
    with zipfile.ZipFile(outside / "b.zip", "w") as archive:
        archive.write(bundle / "manifest.json", "../outside/manifest.json")
    shutil.rmtree(bundle)
    shutil.move(outside / "b.zip", bundle)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bundle_that_leads_outside_is_refused_and_nothing_outside_is_read(
    tmp_path: Path, name: str
) -> None:
    bundle, outside = write_bundle(tmp_path / "bundle"), tmp_path / "outside"
    outside.mkdir()
    (outside / SECRET).write_bytes(bytes(range(256)))
    act, reason = ATTACKS[name]
    act(bundle, outside)
    before = sorted(tmp_path.rglob("*"))
    with nothing_read_of(outside):
        with pytest.raises(BundleError, match=reason):
            Tagger.load(bundle)
        with pytest.raises(BundleError, match=reason):
            publish(bundle, tmp_path / "repository")
        with suppress(BundleError):  # without a manifest there is no verdict
            assert not verify(bundle).is_sound
    assert sorted(tmp_path.rglob("*")) == before, "nothing ran, and nothing was written"


def test_there_are_forty_attacks_and_more() -> None:
    assert len(ATTACKS) >= 40


def test_whoever_reads_outside_is_seen(tmp_path: Path) -> None:
    """The watch itself: by Python, by a link of either kind, and by native code."""
    outside = tmp_path / "outside"
    outside.mkdir()
    write_bundle(outside / "b")
    secret = outside / "b" / "tokenizer.json"
    (tmp_path / "soft").symlink_to(secret)
    os.link(secret, tmp_path / "hard")
    for path in (secret, tmp_path / "soft", tmp_path / "hard"):
        with pytest.raises(AssertionError, match="Python opened"), nothing_read_of(outside):
            path.read_bytes()
        with pytest.raises(AssertionError, match="native code opened"), nothing_read_of(outside):
            Tokenizer.from_file(str(path))
    with nothing_read_of(outside):
        os.stat(secret)


def _varint(number: int) -> bytes:
    content = b""
    while number > 0x7F:
        content += bytes([0x80 | number & 0x7F])
        number >>= 7
    return content + bytes([number])
