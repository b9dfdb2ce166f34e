"""The error tree. An error's type says what happens next. Errors of libraries and servers are translated once, where
they enter, and redacted there.

    NidusError
    ├── Stalled            only a human or a new commit can fix it; nothing is retried
    │   └── UsageError     the command line or the configuration is wrong: exit code 64
    ├── Retry              try again after a pause
    │   ├── Unavailable    Git or an API server did not answer
    │   └── Fetching       content from elsewhere is not here yet
    ├── LeaseLost          this process must not write any more (H1)
    └── ApiError           one answer of a Kubernetes API, classified by `kube.errors` (A6)

Waiting and held are outcomes (`model.Result`), validation problems are values (`model.Violation`); neither is an error.
Any other exception is a bug: it is logged with its traceback.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

LINE = 1000  # characters of one message


_BLANK = frozenset(
    chr(one)
    for first, last in (
        (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0), (0x13441, 0x13442), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159), (0xE0100, 0xE01EF),
    )
    for one in range(first, last + 1)
)  # fmt: skip
"""Letters, marks and signs that nothing is drawn for, and that Python calls printable: those of Default_Ignorable_Code_Point (Unicode's
DerivedCoreProperties.txt), and the blanks of Braille, of hieroglyphs, of Khitan and of musical notes."""


def prints(text: str) -> bool:
    """Whether each character of `text` is drawn, or is a plain space, and none changes what the others look like."""
    return text.isprintable() and (text.isascii() or _BLANK.isdisjoint(text))


def printable(text: str) -> str:
    """`text` as one printable line: without control characters (C0, C1), characters that reorder or hide text (bidi,
    zero width), letters that nothing is drawn for and lone surrogates. Line breaks and unusual spaces become a space;
    other characters that do not print are escaped, as \\u001b."""
    if prints(text):
        return text
    return "".join(one if prints(one) else " " if one.isspace() else f"\\u{ord(one):04x}" for one in text)


def one_line(text: object, limit: int = LINE) -> str:
    """`text` as one printable line of at most `limit` characters; "" for a value that is no string. For text of others
    that is shown to people."""
    return printable(text[: 2 * limit])[:limit] if isinstance(text, str) else ""


UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for bytes of any content: its own errors and that of broken UTF-8 are ValueErrors, the other is of their depth."""


def few(names: Sequence[str], most: int) -> str:
    """The first `most` names, and how many there are besides: `a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def parted(revision: str) -> tuple[str, str, str]:
    """Branch, mark and commit of a revision: main@sha1:0123 -> ("main", "@sha1:", "0123"); (revision, "", "") of what is none."""
    head, mark, rest = revision.rpartition("@")
    form, colon, commit = rest.partition(":")
    if mark and colon and form in ("sha1", "sha256"):
        return head, f"{mark}{form}{colon}", commit
    return revision, "", ""


def short(revision: str) -> str:
    """A revision as people read it: main@sha1:0123456789abcdef... -> main@sha1:0123456"""
    head, mark, commit = parted(revision)
    return f"{head}{mark}{commit[:7]}"


class NidusError(Exception):
    """Base of all our errors. `message` is safe to show: it is printable, and contains no secret and no server's
    body."""

    def __init__(self, message: str, *, reason: str = "", hint: str = "") -> None:
        self.message = printable(message)
        super().__init__(self.message)
        self.reason = reason or type(self).__name__
        self.hint = printable(hint)

    @property
    def told(self) -> str:
        """The message, and what a human should do, in one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class Stalled(NidusError):
    """Waits for a human or a commit."""


class UsageError(Stalled):
    """The command line or the configuration file is wrong."""


class Retry(NidusError):
    """Goes away without a human; `after` is the pause in seconds, None where the caller's backoff decides."""

    def __init__(self, message: str, *, reason: str = "", hint: str = "", after: float | None = None) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.after = after


class Unavailable(Retry):
    """The other side did not answer in time, or not at all."""


class Fetching(Retry):
    """What a layer is rendered from is not here yet: content from elsewhere (K3), a Secret, the kinds of a group. The layer waits."""


class LeaseLost(NidusError):
    """The Lease is held by another process, or could not be renewed in time."""


class Stopped(BaseException):
    """This process ends: a pass goes no further than the object in flight (H2). No failure of anything, so no handler of
    errors may take it for one."""


class ErrorClass(StrEnum):
    """What one answer of a Kubernetes API means (A6). Only ABSENT means "not there"."""

    ABSENT = "Absent"
    KIND_MISSING = "KindMissing"
    KIND_UNREAD = "KindUnread"
    VERSION_MISSING = "VersionNotServed"
    NAMESPACE_MISSING = "NamespaceMissing"
    RACED = "Raced"
    FIELD_CONFLICT = "FieldConflict"
    WAIT_NAMESPACE = "WaitNamespace"
    DENIED = "Denied"
    UNAUTHENTICATED = "Unauthenticated"
    RELIST = "Relist"
    INVALID = "Invalid"
    IMMUTABLE = "Immutable"
    REJECTED = "Rejected"
    TRANSIENT = "Transient"
    AMBIGUOUS = "Ambiguous"


UNSERVED = frozenset({ErrorClass.KIND_MISSING, ErrorClass.KIND_UNREAD})
"""No object of the kind can be asked for now. With KIND_UNREAD there may be some: its group's list of kinds could not be read."""
STALLS = frozenset({ErrorClass.INVALID, ErrorClass.IMMUTABLE, ErrorClass.REJECTED, ErrorClass.FIELD_CONFLICT})


class ApiError(NidusError):
    """One refused or failed request.

    `causes` are (field, reason, message) triples, already redacted (P5); `after` is a Retry-After in seconds.
    """

    def __init__(
        self,
        kind: ErrorClass,
        message: str,
        *,
        status: int = 0,
        causes: tuple[tuple[str, str, str], ...] = (),
        after: float | None = None,
    ) -> None:
        super().__init__(message, reason=str(kind))
        self.kind = kind
        self.status = status
        self.causes = causes
        self.after = after

    @property
    def stalls(self) -> bool:
        """Whether only a commit or a human can change the answer."""
        return self.kind in STALLS


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The word of `known` that is most like `word`, "" where none is; `cutoff` is how alike it must be, of 1."""
    from difflib import get_close_matches  # a start that has nothing to say about a word goes without

    found = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""
