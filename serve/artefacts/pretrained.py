"""Owns what is refused of a checkpoint or base model, and the folder its loaders see in its place.

transformers finds files by itself: an `adapter_config.json` names another model, the tokenizer's
configuration may name files, and there will be more such ways. So it is shown a folder of its own,
with the files that were checked and nothing else. Weights are safetensors only; a pickle is never
opened. Settings that run code, from the folder or from the hub, are refused by name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.artefacts.manifest import check_file_name
from serve.artefacts.parts import (
    MAX_JSON_BYTES,
    MAX_TOKENIZER_BYTES,
    check_plain,
    read_plain,
    unlinked,
)
from serve.errors import CheckpointError

CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
VOCABULARY, SPECIAL_TOKENS = "vocab.txt", "special_tokens_map.json"
WEIGHTS, ADAPTER = "model.safetensors", "adapter_config.json"
INDEX = f"{WEIGHTS}.index.json"
MAX_WEIGHT_BYTES = 2**34
MAX_LAYERS = 512
_CODE = (
    "auto_map",  # classes in files of the folder
    "trust_remote_code",
    "_attn_implementation_internal",  # kernels from the hub, as are the next two
    "fusion_config",
    "use_kernels",
    "quantization_config",  # other libraries, and weights that are no numbers
    "transformers_weights",  # a file of any name
)
_ATTENTION = ("attn_implementation", "_attn_implementation")
_PLAIN_ATTENTION = (None, "eager", "sdpa")
_WIDTHS = ("hidden_size", "dim")
_NARROW = "embedding_size"
"""Width of ELECTRA's embeddings, which other families pay no regard to."""
_NARROW_ROWS = ("max_position_embeddings", "type_vocab_size")
_ROWS = ("intermediate_size", "hidden_dim", "num_labels")
"""Rows of the embeddings' width, and of the layers'."""
_LAYERS = ("num_hidden_layers", "n_layers")


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A checkpoint or base model in Hugging Face form, not trusted.

    Attributes:
        folder: Where it lies.
        is_shared: Whether its files may have other names. So they have where an installer links
            packages from its cache; only for files whose SHA-256 is checked.
    """

    folder: Path
    is_shared: bool = False

    def has(self, name: str) -> bool:
        """Return whether there is something of a name, be it a link that leads nowhere."""
        return os.path.lexists(self.folder / name)

    def config(self, name: str = CONFIG) -> dict[str, Any]:
        """Return a configuration that asks no loader to run code.

        Raises:
            CheckpointError: If it cannot be read, is a link, no JSON object, or asks for code.
        """
        path = self.folder / name
        try:
            config = json.loads(self.read(name, max_bytes=MAX_JSON_BYTES))
            if not isinstance(config, dict):
                raise ValueError(f"a {type(config).__name__}, no object")
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: expected a JSON object, got {error}") from error
        if unsafe := [key for key in _CODE if config.get(key) not in (None, False)]:
            raise CheckpointError(
                f"{path}: expected no {unsafe[0]!r}, which runs code from outside; choose another "
                "model"
            )
        for key in _ATTENTION:
            if (kind := config.get(key)) not in _PLAIN_ATTENTION:
                raise CheckpointError(f"{path}: expected {key} eager or sdpa, got {kind!r:.80}")
        return config

    def read(self, name: str, *, max_bytes: int = MAX_TOKENIZER_BYTES) -> bytes:
        """Return a file's content.

        Raises:
            CheckpointError: If it cannot be read, is a link, or is larger than the limit.
        """
        path = unlinked(self.folder / name)
        try:
            return read_plain(path, max_bytes=max_bytes, is_shared=self.is_shared)
        except OSError as error:
            raise self._unreadable(name, error) from error

    def check(self, name: str, *, max_bytes: int) -> int:
        """Return a file's size, without opening it.

        Raises:
            CheckpointError: As `read` does.
        """
        path = unlinked(self.folder / name)
        try:
            return check_plain(path, max_bytes=max_bytes, is_shared=self.is_shared).st_size
        except OSError as error:
            raise self._unreadable(name, error) from error

    def weights(self) -> list[str]:
        """Return the names of the weights' files, checked but not opened; none if it has none.

        Raises:
            CheckpointError: If one is missing, a link, too large, or outside the folder, or they
                are an adapter to another model's.
        """
        if self.has(ADAPTER):
            raise CheckpointError(
                f"{self.folder / ADAPTER}: expected a whole model, got an adapter to another; "
                "merge it into its model and save that"
            )
        names = [WEIGHTS] if self.has(WEIGHTS) else []
        if not names and self.has(INDEX):
            names = [INDEX, *self._shards()]
        for name in names:
            self.check(name, max_bytes=MAX_WEIGHT_BYTES)
        return names

    def check_sizes(self, config: Mapping[str, Any]) -> None:
        """Refuse a model larger than its weights: it would be built before they are missed.

        Raises:
            CheckpointError: Naming the setting.
        """
        path = self.folder / CONFIG
        size_bytes = sum(self.check(name, max_bytes=MAX_WEIGHT_BYTES) for name in self.weights())
        hidden, layers = _first(config, _WIDTHS), _first(config, _LAYERS)
        width = config.get(_NARROW, hidden) if config.get("model_type") == "electra" else hidden
        rows: dict[str, tuple[Any, Any]] = {_WIDTHS[0]: (hidden, hidden), _NARROW: (width, width)}
        rows["vocab_size"] = (config.get("vocab_size"), width)
        rows |= {key: (config[key], width) for key in _NARROW_ROWS if key in config}
        rows |= {key: (config[key], hidden) for key in _ROWS if key in config}
        for key, (number, _) in rows.items():
            if type(number) is not int or number < 1:
                raise CheckpointError(f"{path}: expected a number {key!r}, got {number!r:.80}")
        if type(layers) is not int or not 1 <= layers <= MAX_LAYERS:
            raise CheckpointError(f"{path}: expected 1 to {MAX_LAYERS} layers, got {layers!r:.80}")
        rows["rows in all layers"] = (layers * hidden, hidden)
        for key, (number, of_width) in rows.items():
            if number * of_width > size_bytes:
                raise CheckpointError(
                    f"{path}: expected a model of {size_bytes:,} bytes, as its weights have, "
                    f"got {key} {number:,} of width {of_width:,}"
                )

    @contextmanager
    def checked_folder(self) -> Iterator[Path]:
        """Give a temporary folder with the configuration and the weights, and nothing else.

        Raises:
            CheckpointError: As `config` and `weights` do.
        """
        config, names = self.config(), self.weights()
        with tempfile.TemporaryDirectory(prefix="linetag-") as temporary:
            (Path(temporary) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
            for name in names:
                (Path(temporary) / name).symlink_to(unlinked(self.folder / name).absolute())
            yield Path(temporary)

    @contextmanager
    def checked_vocabulary(self) -> Iterator[Path]:
        """Give a temporary folder with what makes a tokenizer of a `vocab.txt`, and nothing else.

        The tokenizer's configuration comes without the files it names.

        Raises:
            CheckpointError: As `config` and `read` do.
        """
        with tempfile.TemporaryDirectory(prefix="linetag-") as temporary:
            (Path(temporary) / VOCABULARY).write_bytes(self.read(VOCABULARY))
            for name in filter(self.has, (CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS)):
                settings = self.config(name)
                kept = {key: settings[key] for key in settings if not key.endswith("_file")}
                (Path(temporary) / name).write_text(json.dumps(kept), encoding="utf-8")
            yield Path(temporary)

    def _shards(self) -> list[str]:
        path = self.folder / INDEX
        try:
            names = {
                check_file_name(name) for name in dict(self.config(INDEX)["weight_map"]).values()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: expected a weight_map of file names, got {error}"
            ) from error
        if other := [name for name in names if not name.endswith(".safetensors")]:
            raise CheckpointError(f"{path}: expected safetensors, got {other[0]!r}")
        return sorted(names)

    def _unreadable(self, name: str, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self.folder / name}: expected a readable file, got {error.strerror}"
        )


def _first(config: Mapping[str, Any], keys: Sequence[str]) -> Any:  # noqa: ANN401  JSON
    """Return the first setting there is, by the names that families give it."""
    return next((config[key] for key in keys if key in config), None)
