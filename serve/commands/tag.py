r"""Tag lines of text, from files or standard input, with a bundle or with one or more Tritons.

Writes one JSON object a line, or coloured text when standard output is a terminal. Lines of a pipe
are answered as they come.

    python -m serve tag work_orders.txt
    echo "replace leaking hose on pump 3" | python -m serve tag --color
    python -m serve tag --url 127.0.0.1:8001 work_orders.txt > tagged.jsonl
    python -m serve tag --url 127.0.0.1:8001,127.0.0.1:8002 work_orders.txt
    python -m serve tag --url localhost:8001 --tls-authority ca.pem --tls-certificate client.pem \
        --tls-key client.key work_orders.txt

exit status: 0 tagged, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from serve.bundle import Precision
from serve.client import Policy, TritonTagger
from serve.client.front import addresses
from serve.client.requests import cut
from serve.commands import command_parser, deliver, importing, say
from serve.commands.tls import add_tls_flags, taken_tls
from serve.display.render import Painter
from serve.entities import Entity
from serve.errors import DataError, GraphError, TaggingError, needing
from serve.lines import STDIN, Line, placed_chunks
from serve.triton.tls import TlsFiles

if TYPE_CHECKING:
    from serve.tagger import Tagger

_TIMEOUT_S = 30.0
"""Deadline of a request: nobody waits for a single line here, and a long one may take seconds."""
Tag = Callable[[list[str]], Iterable[Sequence[Entity]]]


@dataclass(frozen=True)
class TagConfig:
    """What to tag, with what, and how to show it.

    Attributes:
        files: Paths, `-` for standard input.
        bundle: The bundle to tag with, unless there are `urls`.
        urls: Tritons to tag with, `host:port` each.
        tls: The client's files of mutual TLS; None for plain text.
        precision: Graph of the bundle; None for the fastest on this hardware.
        public_key: File of the key that must have signed the bundle; None for any bundle.
        json: Write JSON lines, whatever standard output is.
        color: Write coloured text, whatever standard output is.
    """

    files: tuple[str, ...] = (STDIN,)
    bundle: Path = Path("build/bundle")
    urls: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    precision: Precision | None = None
    public_key: Path | None = None
    json: bool = False
    color: bool = False


def parse_args(argv: Sequence[str]) -> TagConfig:
    """Return the command line as a config."""
    parser = command_parser("serve tag", __doc__)
    text = "a text a line (standard input)"
    parser.add_argument("files", nargs="*", default=TagConfig.files, metavar="FILE", help=text)
    source = parser.add_mutually_exclusive_group()
    text = f"what python -m export made ({TagConfig.bundle})"
    source.add_argument(
        "--bundle", type=Path, default=TagConfig.bundle, metavar="FOLDER", help=text
    )
    source.add_argument("--url", metavar="HOST:PORT,...", help="of one Triton, or of several")
    add_tls_flags(parser, ours="the client's", theirs="the servers'")
    text = "which of the bundle's graphs (the best for the hardware)"
    parser.add_argument("--precision", choices=list(Precision), type=Precision, help=text)
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="signed bundles only")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON lines, even on a terminal")
    form.add_argument("--color", action="store_true", help="coloured text, even into a file")
    args = parser.parse_args(argv)
    has_url = args.url is not None  # an empty one, as of a server that did not start, is a mistake
    if has_url and args.precision:
        parser.error("--precision: not with --url, where the server has chosen its graph")
    if has_url and args.public_key:
        parser.error("--public-key: not with --url; name it when you publish")
    tls = taken_tls(parser, args)
    if tls and not has_url:
        parser.error("--tls-authority, --tls-certificate, --tls-key: only with --url")
    try:
        urls = addresses(args.url) if has_url else ()
    except ValueError as error:
        parser.error(f"--url: {error}")
    del args.url
    return TagConfig(**{**vars(args), "files": tuple(args.files), "urls": urls, "tls": tls})


def run(config: TagConfig) -> int:
    """Tag every line and write it.

    Raises:
        TaggingError: If there is no tagger, or a line cannot be tagged; the lines before it are
            written.
    """
    if not config.urls:
        tagger = _load(config)
        if tagger.graph:
            runs = f"{tagger.graph.precision} on {tagger.provider}"
            say(f"{config.bundle / tagger.graph.file}: {runs}")
        _write(tagger.tag, config)
        return 0
    policy = Policy(deadline_s=_TIMEOUT_S)
    with importing():
        client = TritonTagger(config.urls, policy=policy, tls=config.tls)
    with client:
        graph, urls = client.graph(), ", ".join(config.urls)
        say(f"{urls}: {graph['file']}, {graph['precision']} on {graph['provider']}")
        # A request at a time: what one answered is written, whatever becomes of the next.
        _write(lambda lines: chain.from_iterable(map(client.tag, cut(lines))), config)
    return 0


def _load(config: TagConfig) -> Tagger:
    expected = "the package onnxruntime, or --url of a Triton"
    with needing(expected, "cpu", TaggingError), importing():
        from serve.tagger import Tagger  # a client of Triton has no ONNX Runtime
    return Tagger.load(config.bundle, precision=config.precision, public_key=config.public_key)


def _write(tag: Tag, config: TagConfig) -> None:
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    as_json = config.json or not (config.color or on_terminal)
    painter = Painter(in_colour=config.color or not os.environ.get("NO_COLOR"))
    form = to_json if as_json else painter.line
    for chunk in placed_chunks(config.files):
        for line, entities in zip(chunk, _each(tag, chunk), strict=True):
            deliver(form(line.text, entities))
    if not as_json and (legend := painter.legend()):
        deliver(f"\n{legend}")


def _each(tag: Tag, lines: Sequence[Line]) -> Iterator[Sequence[Entity]]:
    """Yield the entities of each line, all tagged together unless that fails.

    Raises:
        TaggingError: After the lines before it; naming file and line where that is to blame.
    """
    done = 0
    try:
        for entities in tag([line.text for line in lines]):
            yield entities
            done += 1
    except (DataError, GraphError):
        for line in lines[done:]:
            try:
                yield from tag([line.text])
            except (DataError, GraphError) as error:
                raise TaggingError(f"{line.file}:{line.number}: {error}") from error


def to_json(text: str, entities: Sequence[Entity]) -> str:
    """Return a tagged line as JSON."""
    rows = [{**e.to_json(), "text": text[e.start : e.end]} for e in entities]
    return json.dumps({"text": text, "entities": rows}, ensure_ascii=False)
