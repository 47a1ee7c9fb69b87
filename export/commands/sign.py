"""Sign a bundle with a private key, after checking everything in it.

Writes manifest.sig into the bundle; an old signature is replaced. The key is an Ed25519 key in PEM
that only its owner can read, as python -m export keygen makes it.

Examples:
  python -m export keygen linetag.key
  python -m export sign build/bundle --key linetag.key
  python -m export verify build/bundle --public-key linetag.key.pub

exit status: 0 signed, 1 refused (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.signing import read_private_key, sign, signing
from export.verification.verify import read_manifest, verify_content
from serve.commands import command_parser, deliver, exit_status
from serve.errors import BundleError


@dataclass(frozen=True)
class SignConfig:
    """What to sign.

    Attributes:
        bundle: The bundle's folder.
        key: File of the private key.
    """

    bundle: Path
    key: Path


def parse_args(argv: Sequence[str]) -> SignConfig:
    """Return the command line as a config."""
    parser = command_parser("export sign", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="what python -m export made")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key")
    return SignConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str]) -> int:
    """Sign a bundle, print the path of the signature, return the exit status."""
    config = parse_args(argv)
    return exit_status(lambda: _run(config))


def _run(config: SignConfig) -> int:
    key = read_private_key(config.key)
    manifest = read_manifest(config.bundle)
    with signing(config.bundle):
        if findings := verify_content(config.bundle, manifest):
            raise BundleError(f"{findings[0].message} (1 of {len(findings)} findings; not signed)")
        signature = sign(config.bundle, manifest, key)
    deliver(str(signature))
    return 0
