"""Take the version on trial from all callers, or else go back to the version before.

Prints the version that serves then: the old bundle under a new number, so that no caller sees
numbers go back. Nothing is restarted; what is rolled back is removed.

    python -m serve rollback

exit status: 0 taken back, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, say
from serve.commands.versions import add_arguments, servers_of, told
from serve.repository import rollback
from serve.signals import interrupting


@dataclass(frozen=True)
class RollbackConfig:
    """Where to go back.

    Attributes:
        repository: Triton's model repository.
        timeout: Seconds that a server may take to load the old version.
    """

    repository: Path = Path("model_repository")
    timeout: float = 120.0


def parse_args(argv: Sequence[str]) -> RollbackConfig:
    """Return the command line as a config."""
    parser = command_parser("serve rollback", __doc__)
    add_arguments(parser, RollbackConfig.repository, RollbackConfig.timeout)
    return RollbackConfig(**vars(parser.parse_args(argv)))


def run(config: RollbackConfig) -> int:
    """Roll back and print the version.

    Raises:
        TaggingError: If there is no version to go back to, or it cannot be loaded.
    """
    servers = servers_of(config.repository, config.timeout)
    with interrupting():
        version = rollback(config.repository, servers=servers)
    say(told(config.repository))
    deliver(str(version))
    return 0
