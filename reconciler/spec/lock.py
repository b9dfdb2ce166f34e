"""`nidus.lock.yaml`: what every version and address in a folder means, by digest (K2). Written by `nidus lock`, read with the documents."""

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from reconciler import decoding
from reconciler.model import ChartRef, Limits, UrlRef, Violation
from reconciler.spec import semver, yaml
from reconciler.spec.codes import Code

FILE = "nidus.lock.yaml"
_HEAD = "# What the charts and addresses of this folder are, by digest. Written by `nidus lock`; reviewed like code.\n"
_SHOWN = 200
_HINT = "write it anew: nidus lock"


_Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Key = Annotated[str, msgspec.Meta(max_length=2048)]


class Locked(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`digest`: "sha256:" and 64 digits; `version`: what the version of a chart, which may be a range, came to; "" for an address;
    `signature`: the digest of the manifest of its signature, where one is asked for (K4)."""

    digest: _Digest
    version: _Text = ""
    signature: _Digest | Literal[""] = ""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    content: dict[_Key, Locked] = {}


Entries = Mapping[str, Locked]


def of_chart(chart: ChartRef) -> str:
    """What a chart is called in the file."""
    where = f"{chart.repo.rstrip('/')} {chart.name}" if chart.repo else chart.oci
    return f"{where} {chart.version}"


def of_url(url: UrlRef) -> str:
    """What an address is called in the file."""
    return url.url


@functools.lru_cache(maxsize=8)
def read(data: bytes, limits: Limits) -> tuple[Entries, tuple[Violation, ...]]:
    """The entries of the file, and its mistakes; with a mistake it has no entries."""
    parsed = yaml.parse(data, FILE, limits)
    if parsed.violations:
        return {}, parsed.violations
    if len(parsed.documents) > 1:
        return {}, (_wrong("more than one document"),)
    try:
        found = decoding.converted(parsed.documents[0].body if parsed.documents else {}, _File)
    except msgspec.ValidationError as error:
        return {}, (_wrong(str(error)),)
    odd = next((key for key, one in found.content.items() if one.version and not semver.exact(one.version)), None)
    return ({}, (_wrong(f"what {odd[:_SHOWN]} came to is no version"),)) if odd is not None else (found.content, ())


def text(entries: Entries) -> bytes:
    """The file, sorted: the same entries are the same bytes."""
    lines = [f"  {json.dumps(key)}: {_told(entries[key])}\n" for key in sorted(entries)]
    return (_HEAD + ("content:\n" if lines else "content: {}\n") + "".join(lines)).encode()


def _told(one: Locked) -> str:
    version = f"version: {json.dumps(one.version)}, " if one.version else ""
    signature = f", signature: {json.dumps(one.signature)}" if one.signature else ""
    return f"{{{version}digest: {json.dumps(one.digest)}{signature}}}"


def _wrong(what: str) -> Violation:
    return Violation(FILE, 1, 1, Code.LOCK, f"not a lock file: {what}", hint=_HINT)
