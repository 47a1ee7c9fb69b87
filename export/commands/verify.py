"""Check everything in a bundle, one finding a line, and the verdict as the last.

The manifest and its seal; the SHA-256 of each file; nothing beside them, and no link; each graph:
its form, its weights all in the file, its tensors, its operators, that it runs, and that it scores
as many tags as there are; the signature, where a public key is given.

Examples:
  python -m export verify build/bundle
  python -m export verify build/bundle --public-key linetag.key.pub
  python -m export verify build/bundle --json

exit status: 0 sound, 1 not sound or not readable, 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from export.verification.verify import Signature, Verdict, verify
from serve.commands import command_parser, deliver, exit_status

_SIGNATURES = {
    Signature.NONE: "not signed",
    Signature.UNCHECKED: "signature not checked, name the key with --public-key",
    Signature.VALID: "signed",
    Signature.INVALID: "signature not valid",
}


@dataclass(frozen=True)
class VerifyConfig:
    """What to verify.

    Attributes:
        bundle: The bundle's folder.
        public_key: File of the key that must have signed it; None to leave that open.
        json: Print the verdict as one JSON object.
    """

    bundle: Path
    public_key: Path | None = None
    json: bool = False


def parse_args(argv: Sequence[str]) -> VerifyConfig:
    """Return the command line as a config."""
    parser = command_parser("export verify", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="what python -m export made")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="who must have signed it")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    return VerifyConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str]) -> int:
    """Verify a bundle, print the verdict, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def as_text(verdict: Verdict) -> str:
    """Return one line a finding, and the verdict as the last."""
    num = len(verdict.findings)
    sound = "sound" if not num else f"not sound, {num} finding{'s' * (num > 1)}"
    last = f"{verdict.folder}: {sound}; {_SIGNATURES[verdict.signature]}"
    return "\n".join([*map(str, verdict.findings), last])


def as_json(verdict: Verdict) -> str:
    """Return the verdict as JSON."""
    row = {"bundle": str(verdict.folder), "is_sound": verdict.is_sound, **asdict(verdict)}
    del row["folder"]
    return json.dumps(row, indent=2)


def _run(config: VerifyConfig) -> int:
    verdict = verify(config.bundle, config.public_key)
    deliver(as_json(verdict) if config.json else as_text(verdict))
    return 0 if verdict.is_sound else 1
