"""The forms of texts in the documents: what a field with that `title` in its schema wants, an example, and what a wrong
text probably meant.

A mended text is only offered where the field's own schema takes it. Used for failing documents only.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from reconciler.patterns import lazy
from reconciler.spec import linear

_LONGEST = 100  # characters of a text that is looked at
_AMOUNT = lazy(r"([0-9]+(?:[.,][0-9]+)?)\s*([kmgtpe]?)(i?)(?:b|bytes?)?", re.ASCII | re.IGNORECASE)
_CPU = lazy(r"([0-9]+(?:[.,][0-9]+)?)\s*(?:(m|millicores?|milli)\s*)?(?:v?cpus?|cores?)?", re.ASCII | re.IGNORECASE)
_TOKEN = lazy(r"[0-9]+|[a-z]+|[^0-9a-z]+", re.ASCII)
_VERSION = lazy(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?", re.ASCII | re.IGNORECASE)
_UNITS: Final = (
    ("d", frozenset({"d", "day", "days"})),
    ("h", frozenset({"h", "hr", "hrs", "hour", "hours"})),
    ("m", frozenset({"m", "min", "mins", "minute", "minutes"})),
    ("s", frozenset({"s", "sec", "secs", "second", "seconds"})),
    ("ms", frozenset({"ms", "msec", "milliseconds", "millisecond"})),
)
_WEEKS = frozenset({"w", "week", "weeks"})


class Form(Struct, frozen=True):
    """`told`: what is wrong with a text of another form; `mended`: what it may have meant, most likely first."""

    told: str
    example: str
    mended: Callable[[str], Iterator[str]]

    def hint(self, text: str, schema: Mapping[str, Any]) -> str:
        """What to write instead of `text` in a field with this schema."""
        meant = [one for one in self.mended(text.strip()[:_LONGEST]) if one != text and _fits(one, schema)]
        return f"write {' or '.join(meant)}" if meant else f"such as {self.example}"


def of(schema: Mapping[str, Any]) -> Form | None:
    """The form that a field's schema names, if any."""
    return FORMS.get(str(schema.get("title", "")))


def _fits(text: str, schema: Mapping[str, Any]) -> bool:
    pattern = schema.get("pattern", "")
    return len(text) <= schema.get("maxLength", _LONGEST) and (not pattern or linear.found(pattern, text))


def _nothing(_: str) -> Iterator[str]:
    return iter(())


def _sizes(text: str) -> Iterator[str]:
    """8GB is 8Gi or 8G, as people use it for both."""
    found = _AMOUNT.fullmatch(text)
    if not found:
        return
    number, unit = found[1].replace(",", "."), found[2].upper()
    if not unit:
        yield number
        return
    yield f"{number}{unit}i"
    if not found[3]:
        yield number + ("k" if unit == "K" else unit)


def _cpus(text: str) -> Iterator[str]:
    if found := _CPU.fullmatch(text):
        yield found[1].replace(",", ".") + ("m" if found[2] else "")


def _quantities(text: str) -> Iterator[str]:
    cores = list(_cpus(text))
    yield from cores or _sizes(text)


def _durations(text: str) -> Iterator[str]:
    """`1 hour 30 minutes` is 1h30m; a number alone lacks its unit."""
    if text.isascii() and text.isdigit():
        yield from (f"{int(text)}{unit}" for unit in ("s", "m", "h"))
        return
    tokens = [one for one in _TOKEN.findall(text.lower()) if one.strip(", \t") and one != "and"]
    counts, words = tokens[::2], tokens[1::2]
    if len(counts) != len(words) or not all(map(str.isdecimal, counts)):
        return
    found: dict[str, int] = {}
    for count, word in zip(counts, words, strict=True):
        unit = "d" if word in _WEEKS else next((name for name, words in _UNITS if word in words), "")
        if not unit or unit in found:
            return
        found[unit] = int(count) * (7 if word in _WEEKS else 1)
    if found:
        yield "".join(f"{found[unit]}{unit}" for unit, _ in _UNITS if unit in found)


def _times(text: str) -> Iterator[str]:
    try:
        found = datetime.fromisoformat(text)
        at = found.astimezone(UTC) if found.tzinfo else found
    except (ValueError, OverflowError):
        return
    yield at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(text: str) -> Iterator[str]:
    if text.isascii():
        yield re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _hosts(text: str) -> Iterator[str]:
    """A URL's host name, in small letters."""
    if text.isascii():
        host = re.sub(r"^[a-z]+://|[/:].*$", "", text.lower())
        yield ".".join(part for name in host.split(".") if (part := "".join(_names(name))))


def _words(text: str) -> Iterator[str]:
    """A label's value or name: characters that may not stand there become a dash."""
    if text.isascii():
        yield re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")


def _identifiers(text: str) -> Iterator[str]:
    if text.isascii():
        yield re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")


def _versions(text: str) -> Iterator[str]:
    if found := _VERSION.fullmatch(text):
        yield ".".join(str(int(part or 0)) for part in found.groups())


def _kubernetes(text: str) -> Iterator[str]:
    yield from (f"v{one}" for one in _versions(text))


def _networks(text: str) -> Iterator[str]:
    yield f"{text}/{128 if ':' in text else 32}"


def _kinds(text: str) -> Iterator[str]:
    yield text[:1].upper() + text[1:]


def _pointers(text: str) -> Iterator[str]:
    """A path with dots as a JSON pointer."""
    yield "/" + text.strip(".").replace(".", "/")


def _paths(text: str) -> Iterator[str]:
    yield text.replace("\\", "/")


def _listeners(text: str) -> Iterator[str]:
    if text.isdigit():
        yield f"0.0.0.0:{text}"
        yield f"127.0.0.1:{text}"


_NAME = "small letters, digits and - inside"
FORMS: Final[dict[str, Form]] = {
    "size": Form("not a size", "8Gi or 500M", _sizes),
    "amount of CPU": Form("not an amount of CPU", "2 or 500m", _cpus),
    "quantity": Form("not a quantity", "500m or 2Gi", _quantities),
    "price": Form("not a price: a decimal number as text", '"0.031611"', _nothing),
    "currency": Form("not a currency: three capital letters", "EUR", _kinds),
    "duration": Form("not a duration", "30s, 5m, 1h30m or 2d", _durations),
    "time": Form("not a time in UTC", "2026-12-01T00:00:00Z", _times),
    "cron expression": Form(
        "not a time of a schedule: minute, hour, day of the month, month, day of the week", '"0 20 * * 1-5"', _nothing
    ),
    "object store": Form("not the address of an object store", "https://s3.example.com", _nothing),
    "snapshot": Form("not the id of a snapshot, as nidus backups lists it", "20261126T020000-1a2b3c4", _nothing),
    "archive": Form("not the address of an archive", "https://s3.example.com/backups/team-a/one.tar.gz", _nothing),
    "role name": Form("not the name of a role", "admin or system:aggregate-to-view", _nothing),
    "user or group": Form("not a user or a group: no { } and no control characters", "team-a", _nothing),
    "issuer": Form(
        "not the address of an issuer: https://, a host and a path", "https://login.example.com/realms/a", _nothing
    ),
    "identity": Form("not an identity: printable characters, no spaces", "release@example.com", _nothing),
    "claim": Form("not a claim's name", "email", _nothing),
    "time zone": Form("not a time zone", "Europe/Berlin", _nothing),
    "name": Form(f"not a name: {_NAME}", "team-a", _names),
    "DNS name": Form(f"not a DNS name: parts of {_NAME}, between dots", "a.example.com", _hosts),
    "DNS pattern": Form("not a DNS name, or *. and a DNS name", "*.nested.example.com", _hosts),
    "host name": Form("not a host name or address", "nidus.example.com", _hosts),
    "certificate name": Form("not a host name or address for a certificate", "a.example.com or 10.0.0.1", _hosts),
    "name pattern": Form(
        "not a pattern of a name: {name} once, among small letters, digits and -", "vcluster-{name}", _nothing
    ),
    "label value": Form("not a label's value: at most 63 letters, digits, -, _ and .", "team-a", _words),
    "label name": Form("not a label's name", "team or example.com/team", _words),
    "extended resource": Form("not the name of an extended resource: it has a domain", "nvidia.com/gpu", _nothing),
    "taint key": Form("not a taint's key", "dedicated or example.com/dedicated", _words),
    "annotation name": Form("not an annotation's name, or its beginning", "metallb.io/", _nothing),
    "annotation value": Form("not a value here: { } and control characters may not stand in it", "pool-a", _nothing),
    "version": Form("not a version", "1.2.0", _versions),
    "Kubernetes version": Form("not a Kubernetes version", "v1.36.0", _kubernetes),
    "version range": Form("not a version or range", '"1.2.x"', _nothing),
    "digest": Form("not a digest", "sha256: and 64 hexadecimal digits", _nothing),
    "SHA-256": Form("not a SHA-256: 64 hexadecimal digits", "what `sha256sum FILE` prints", _nothing),
    "address": Form(
        "not an address: https://, a host and folders, without ? # %", "https://charts.example.com", _nothing
    ),
    "prefix of addresses": Form("not a prefix of addresses", "https://charts.example.com/", _nothing),
    "OCI repository": Form("not a chart in an OCI registry", "oci://ghcr.io/acme/charts/web", _nothing),
    "chart name": Form("not a chart's name: letters, digits, -, _ and .", "ingress-nginx", _nothing),
    "network": Form("not a network", "10.0.0.0/8", _networks),
    "listener": Form("not an address with a port", "0.0.0.0:9292", _listeners),
    "path": Form("not a path: letters, digits, spaces and _ . @ + = - between slashes", "charts/web", _paths),
    "path pattern": Form("not a path or pattern: letters, digits, * ? and _ . @ + = -", "web/*.yaml", _paths),
    "absolute path": Form("not a path from the root", "/etc/nidus", _nothing),
    "origin": Form(
        "not a scheme and a host: https:// and a name, and nothing after it", "https://nidus.example.com", _nothing
    ),
    "header": Form("not the name of a header", "X-Forwarded-User", _nothing),
    "API": Form("not the address of an API: https:// and a host", "https://api.github.com", _nothing),
    "repository": Form("not a repository on a forge: its owner and its name", "acme/platform", _nothing),
    "branch": Form("not a branch", "main or release/1.2", _nothing),
    "route": Form("letters, digits, - and _ only", "a1b2c3", _identifiers),
    "variable name": Form(
        "not a variable's name: letters, digits and _, no digit first", "replica_count", _identifiers
    ),
    "kind": Form("not a kind of object", "Deployment", _kinds),
    "API group": Form("not an API group", "apps or gateway.networking.k8s.io", _hosts),
    "object name": Form("not an object's name", "web", _words),
    "condition type": Form("not a condition's type", "Available", _words),
    "JSON pointer": Form("not a JSON pointer", "/spec/replicas", _pointers),
}
