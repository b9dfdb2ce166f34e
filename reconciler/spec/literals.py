"""Finds private keys and tokens that stand literally in a file (K13). A line is allowed by `# nidus: allow-literal` at its end.

What is found is what its issuer marks (a prefix, a header), and values of fields with a telling name that are as mixed as only made-up
text is. Digests, certificates, public keys, names and references are none. Lines of a text block are allowed where it begins.
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from reconciler.model import Violation
from reconciler.patterns import lazy
from reconciler.spec.codes import Code

ALLOWED = lazy(r"\s#\s*nidus:\s*allow-literal\s*$")
HINT = "keep it out of the repository (docs/tasks/secrets.md); `# nidus: allow-literal` at the end of the line says that it is none"
LONGEST = 16_384  # characters of a line that are looked at
_MIXED = 3.4  # bits a character: made-up text has more, words have less
_PATTERNS = {
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "a private key in Base64": r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2}",
    "an age key": r"AGE-SECRET-KEY-1[0-9A-Z]{50,}",
    "a key of AWS": r"\b(?:AKIA|ASIA)(?![A-Z0-9]{9,}EXAMPLE)[A-Z0-9]{16}\b",
    "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a token of GitLab": r"\bgl(?:pat|dt|rt|ptt|cbt|oas)-[A-Za-z0-9_-]{20,}",
    "a token of Slack": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}",
    "a key of Google": r"\bAIza[A-Za-z0-9_-]{35}|\bGOCSPX-[A-Za-z0-9_-]{20,}",
    "a key of Stripe": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "a token of npm": r"\bnpm_[A-Za-z0-9]{36}\b",
    "a token of PyPI": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,}",
    "a signed token (JWT)": r"(?<![\w-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a key of SendGrid": r"\bSG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40,}",
    "a token of Vault": r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}",
    "a token of DigitalOcean": r"\bdo[opr]_v1_[0-9a-f]{64}\b",
    "a token of Docker Hub": r"\bdckr_pat_[A-Za-z0-9_-]{20,}",
    "a key of Azure": r"\bAccountKey=[A-Za-z0-9+/]{60,}={0,2}",
    "a token of Hugging Face": r"\bhf_[A-Za-z]{30,}",
    "a key of an AI service": r"(?<![\w-])sk-(?:proj-|ant-[a-z0-9]+-)?(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{32,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"${}<>]+:(?![$<{*]|\s)(?:[^\s:/@'\"${}<>]{3,})@",
}
_MARKED = lazy("|".join(f"(?P<p{index}>{one})" for index, one in enumerate(_PATTERNS.values())))
_WHAT = tuple(_PATTERNS)
_WORDS = (
    "PRIVATE KEY", "LS0tLS1CRUdJTi", "AGE-SECRET-KEY-1", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "gloas-", "xox", "hooks.slack.com/", "AIza",
    "GOCSPX-", "k_live_", "npm_", "pypi-", "eyJ", "SG.", "hvs.", "hvb.", "hvr.", "_v1_", "dckr_pat_", "AccountKey=",
    "hf_", "sk-", "://",
)  # fmt: skip
"""Every pattern holds one of these: to look for them first costs a twentieth of the patterns, and most lines have none."""
_FIELDS = ("passw", "passphrase", "token", "secret", "key")
_FIELD = lazy(
    r"^\s*(?:-\s+)?[\"']?[\w.-]*?(?:passw(?:or)?d|passphrase|token|secret|api[-_]?key|access[-_]?key|private[-_]?key)[\"']?\s*:\s+"
    r"[\"']?(?P<value>[A-Za-z0-9+/_.~=!@%^*-]{16,512})[\"']?\s*(?:#.*)?$",
    re.IGNORECASE,
)


def found(path: str, data: bytes) -> Iterator[Violation]:
    """A mistake for each line of a file that holds one; never what it holds."""
    whole = data.decode(errors="replace")
    if not suspect(whole):
        return
    around: list[
        tuple[int, bool]
    ] = []  # the lines that this one is below: their indent, and whether what they begin is allowed
    for number, text in enumerate(whole.splitlines(), 1):
        indent = len(text) - len(text.lstrip(" "))
        if indent == len(text):
            continue
        while around and around[-1][0] >= indent:
            around.pop()
        inside, own = bool(around) and around[-1][1], ALLOWED.search(text) is not None
        around.append((indent, inside or (own and _begins_text(text))))
        what, column = ("", 0) if inside or own or not suspect(text) else _in(text[:LONGEST])
        if what:
            yield Violation(path, number, column + 1, Code.LITERAL, f"what looks like {what}", hint=HINT)


def suspect(text: str) -> bool:
    """Whether anything can be found in a text; where not, nothing is. Letters are compared as the patterns do it, odd ones too."""
    if any(word in text for word in _WORDS):
        return True
    folded = text.casefold()
    return any(field in folded for field in _FIELDS)


def standing(mistakes: Iterable[Violation], data: bytes) -> Iterator[Violation]:
    """The mistakes of a file without literal data of Secrets whose line says that it may stand there."""
    allowed: frozenset[int] | None = None
    for one in mistakes:
        if one.code == Code.SECRET_DATA:
            allowed = _allowed(data) if allowed is None else allowed
        if one.code != Code.SECRET_DATA or one.line not in (allowed or ()):
            yield one


def _allowed(data: bytes) -> frozenset[int]:
    """The lines that say so."""
    lines = data.decode(errors="replace").splitlines() if b"allow-literal" in data else []
    return frozenset(number for number, line in enumerate(lines, 1) if ALLOWED.search(line))


def _in(line: str) -> tuple[str, int]:
    """What a line holds, and where it begins; ("", 0) for nothing."""
    for match in _MARKED.finditer(line):
        what = _WHAT[int((match.lastgroup or "p0")[1:])]
        if what != "a private key in Base64" or _private(match[0]):
            return what, match.start()
    field = _FIELD.match(line)
    if field is not None and _made_up(field["value"]):
        return "a password or token", field.start("value")
    return "", 0


def _private(text: str) -> bool:
    """Whether Base64 holds a private key; certificates begin alike."""
    head = text[: min(len(text), 64) // 4 * 4]
    return b"PRIVATE KEY" in base64.b64decode(head)


_KINDS = tuple(map(lazy, ("[a-z]", "[A-Z]", "[0-9]")))


def _made_up(value: str) -> bool:
    """Whether a value is mixed as a generator mixes: of three kinds of characters, and without a pattern."""
    kinds = sum(one.search(value) is not None for one in _KINDS)
    size = len(value)
    bits = -sum(count / size * math.log2(count / size) for count in Counter(value).values())
    return kinds == 3 and bits >= _MIXED and not ("/" in value and "." in value)  # a path


def _begins_text(line: str) -> bool:
    """Whether a text block begins with this line."""
    return line.split("#")[0].rstrip().endswith(("|", ">", "|-", ">-", "|+", ">+"))
