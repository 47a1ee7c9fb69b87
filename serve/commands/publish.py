"""Put a bundle into Triton's model repository as the next version, whole or not at all.

Prints the version. It is checked, loaded beside the version that serves, warmed up with a text of
each length, and then given to a tenth of callers; promote it to give it to all, or roll it back.
Without a version to try it beside, or with --promote, it serves at once. Servers of
python -m serve start take it up as they run, wherever on this machine they were started.

    python -m serve publish
    python -m serve publish --bundle build/bundle --share 0.5
    python -m serve publish --promote
    python -m serve publish --public-key linetag.key.pub --promote
    python -m serve publish --plan build/bundle-engines/tagger_tensorrt_fp16/1/model.plan

With a public key the repository takes and serves only bundles signed with it, from then on. A key
that is new is refused while something unsigned goes on serving: stop the servers, and --promote.

A plan, which tensorrt/build.sh of the bundle built on the GPU it is to run on, is for a Triton that
is started with --model-config-name=trt; there a version without one does not load. It must be of
the bundle's graph, and is kept and gone back to with the version.

exit status: 0 published, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, say
from serve.commands.versions import add_arguments, check_share, servers_of, told
from serve.repository import publish
from serve.signals import interrupting
from serve.triton.names import MODEL


@dataclass(frozen=True)
class PublishConfig:
    """What to publish, and where.

    Attributes:
        bundle: The bundle's folder.
        repository: Triton's model repository.
        public_key: File of the key that must have signed what the repository serves; None for what
            the repository says.
        plan: A TensorRT plan of the bundle's graph; None for none.
        share: Share of callers that get it, in [0, 1].
        promote: Whether all get it at once.
        timeout: Seconds that a server may take to load it.
    """

    bundle: Path = Path("build/bundle")
    repository: Path = Path("model_repository")
    public_key: Path | None = None
    plan: Path | None = None
    share: float = 0.1
    promote: bool = False
    timeout: float = 120.0


def parse_args(argv: Sequence[str]) -> PublishConfig:
    """Return the command line as a config."""
    parser = command_parser("serve publish", __doc__)
    default = PublishConfig()
    text = f"what python -m export made ({default.bundle})"
    parser.add_argument("--bundle", type=Path, default=default.bundle, metavar="FOLDER", help=text)
    add_arguments(parser, default.repository, default.timeout)
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="signed bundles only")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="TensorRT plan of its graph")
    choice = parser.add_mutually_exclusive_group()
    text = f"of callers, 0 to 1 ({default.share})"
    choice.add_argument("--share", type=float, default=default.share, help=text)
    choice.add_argument("--promote", action="store_true", help="give it to all at once")
    args = parser.parse_args(argv)
    check_share(parser, args.share)
    return PublishConfig(**vars(args))


def run(config: PublishConfig) -> int:
    """Publish and print the version.

    Raises:
        TaggingError: If the bundle is damaged, the plan is another's, the repository cannot be
            written, or a server cannot load it.
    """
    servers = servers_of(config.repository, config.timeout)
    with interrupting():
        version = publish(
            config.bundle,
            config.repository,
            public_key=config.public_key,
            plan=config.plan,
            share=1.0 if config.promote else config.share,
            servers=servers,
        )
    say(f"{config.bundle} is {config.repository / MODEL / str(version)}; {told(config.repository)}")
    deliver(str(version))
    return 0
