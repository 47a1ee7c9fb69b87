"""Give the version on trial to all callers, or to more of them; nothing is restarted.

Prints the version. The old one is kept, and so is the one before it: python -m serve rollback
goes back.

    python -m serve promote
    python -m serve promote --share 0.5

exit status: 0 promoted, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.commands import command_parser, deliver, say
from serve.commands.versions import add_arguments, check_share, servers_of, told
from serve.repository import promote
from serve.signals import interrupting


@dataclass(frozen=True)
class PromoteConfig:
    """What to promote, and how far.

    Attributes:
        repository: Triton's model repository.
        share: Share of callers that get it; at least as large as now.
        timeout: Seconds that a server may take.
    """

    repository: Path = Path("model_repository")
    share: float = 1.0
    timeout: float = 120.0


def parse_args(argv: Sequence[str]) -> PromoteConfig:
    """Return the command line as a config."""
    parser = command_parser("serve promote", __doc__)
    default = PromoteConfig()
    add_arguments(parser, default.repository, default.timeout)
    text = f"of callers, 0 to 1 ({default.share:g})"
    parser.add_argument("--share", type=float, default=default.share, help=text)
    args = parser.parse_args(argv)
    check_share(parser, args.share)
    return PromoteConfig(**vars(args))


def run(config: PromoteConfig) -> int:
    """Promote and print the version.

    Raises:
        TaggingError: If none is on trial, it is damaged, or more callers have it already.
    """
    servers = servers_of(config.repository, config.timeout)
    with interrupting():
        version = promote(config.repository, share=config.share, servers=servers)
    say(told(config.repository))
    deliver(str(version))
    return 0
