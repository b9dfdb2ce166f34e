"""Signatures without a key (K4): a certificate names who signed, and a log says when. sigstore's own library judges both, by a trusted root
in the repository; nothing is fetched. Imported where an identity is asked for: it takes half a second.

What is signed is a bundle as cosign writes it (`application/vnd.dev.sigstore.bundle`) with its entry of the log.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import one_line

if TYPE_CHECKING:
    from sigstore.verify import Verifier
    from sigstore.verify.policy import AllOf

Verify = Callable[[bytes], tuple[str, bytes]]
"""A bundle; returns the type and the bytes of what was signed."""
MISSING = "what reads signatures without a key is not installed: pip install 'nidus-gitops[identity]'"
_SAID = 200  # characters of the library's message


class Unverified(Exception):
    """Why a signature does not count."""


def verifier(root: bytes, subject: str, issuer: str) -> Verify:
    """What checks bundles signed by `subject`, as `issuer` knows it, under a trusted root (trusted_root.json). Raises Unverified."""
    try:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier, policy
    except ImportError:
        raise Unverified(MISSING) from None
    with tempfile.TemporaryDirectory(prefix="nidus-identity-") as made:
        file = Path(made) / "trusted_root.json"
        file.write_bytes(root)
        try:
            judge = Verifier(trusted_root=TrustedRoot.from_file(str(file)))
        except Exception:
            raise Unverified("the file of its trustedRoot is no trusted root of sigstore") from None
    named = policy.AnyOf([policy.OIDCIssuer(issuer), policy.OIDCIssuerV2(issuer)])
    asked = policy.AllOf([policy.Identity(identity=subject), named])
    return lambda bundle: _judged(bundle, judge, asked)


def _judged(data: bytes, judge: "Verifier", asked: "AllOf") -> tuple[str, bytes]:
    from sigstore.errors import VerificationError
    from sigstore.models import Bundle

    try:
        return judge.verify_dsse(Bundle.from_json(data), asked)
    except VerificationError as error:
        raise Unverified(f"its signature does not count: {one_line(str(error), _SAID)}") from None
    except Exception as error:  # of the library and those it uses: what came from a registry makes it fail in any way
        raise Unverified(f"its signature cannot be read ({type(error).__name__})") from None
