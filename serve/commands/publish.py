"""Put a bundle into Triton's model repository as the next version, whole or not at all.

Prints the version. A server that runs takes it up when it is started again.

    python -m serve publish
    python -m serve publish --bundle build/bundle --repository model_repository
    python -m serve publish --public-key linetag.key.pub

With a public key the repository takes and serves only bundles signed with it, from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, say
from serve.repository import publish
from serve.triton.names import MODEL


@dataclass(frozen=True)
class PublishConfig:
    """What to publish, and where.

    Attributes:
        bundle: The bundle's folder.
        repository: Triton's model repository.
        public_key: File of the key that must have signed what the repository serves; None for what
            the repository says.
    """

    bundle: Path = Path("build/bundle")
    repository: Path = Path("model_repository")
    public_key: Path | None = None


def parse_args(argv: Sequence[str]) -> PublishConfig:
    """Return the command line as a config."""
    parser = command_parser("publish", __doc__)
    parser.add_argument("--bundle", type=Path, default=PublishConfig.bundle, metavar="FOLDER")
    parser.add_argument(
        "--repository", type=Path, default=PublishConfig.repository, metavar="FOLDER"
    )
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="signed bundles only")
    return PublishConfig(**vars(parser.parse_args(argv)))


def run(config: PublishConfig) -> int:
    """Publish and print the version.

    Raises:
        TaggingError: If the bundle is damaged or the repository cannot be written.
    """
    version = publish(config.bundle, config.repository, public_key=config.public_key)
    say(f"{config.bundle} is {config.repository / MODEL / str(version)}")
    deliver(str(version))
    return 0
