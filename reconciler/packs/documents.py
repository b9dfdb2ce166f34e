"""A layer's YAML files (manifests, values): read strictly as what people wrote (V1), then variables filled in."""

import functools
import operator
import re
from typing import Any

from msgspec import Struct

from reconciler.errors import Stalled
from reconciler.model import Document, Limits, Violation
from reconciler.packs import sops
from reconciler.packs.objects import Sourced
from reconciler.packs.sops import Clear
from reconciler.packs.wire import Job
from reconciler.spec import encrypted, yaml
from reconciler.spec.scalars import EXACT
from reconciler.spec.variables import UnknownVariable, fill, references

_EVERYTHING = 1 << 40
LIMITS = Limits(file="1Ti", depth=100, nodes=_EVERYTHING, documents=_EVERYTHING)
"""How large files are was judged by the operator's limits when the source was read; a worker's time and memory are bounded."""

_SHOWN = 5
_WHERE_IT_BELONGS = "write the value where it belongs, and encrypt it there: sops edit FILE"


class File(Struct, frozen=True):
    """The documents of one file, each with `path:line` as its source, and what their encrypted leaves say (K12), which is not filled in
    yet: those who ask decide where it may stand."""

    documents: list[Sourced]
    clear: Clear


def read(job: Job, path: str, *, largest: int = EXACT) -> File:
    """One file of the layer; whole numbers up to `largest`.

    Raises Stalled: RenderFailed naming file, line and column of every mistake, DecryptionFailed.
    """
    data = job.files.get(path)
    if data is None:
        raise Stalled(f"{path}: no such file in this layer", reason="RenderFailed")
    parsed = yaml.parse(data, path, LIMITS, largest=largest)
    if parsed.violations:
        raise Stalled("; ".join(_sentence(found) for found in parsed.violations[:_SHOWN]), reason="RenderFailed")
    clear = sops.opened(path, [found.body for found in parsed.documents], job.keys)
    return File([(f"{path}:{one.line}", _filled(job, path, data, one)) for one in parsed.documents], clear)


def _filled(job: Job, path: str, data: bytes, found: Document) -> Any:
    """With variables filled in, which never happens inside of what was encrypted, and brings nothing encrypted to another place: only
    where it was encrypted for is it decrypted."""
    start, body = found.line, encrypted.bare(found.body)
    try:
        filled = fill(body, job.context)
    except UnknownVariable as error:
        line = _line_of(data.decode(), str(error.name), start)
        raise Stalled(f"{path}:{line}: {error.name} is not known here", reason="RenderFailed") from None
    except ValueError as error:
        raise Stalled(f"{path}:{start}: {error}", reason="RenderFailed") from None
    if encrypted.is_encrypted(found.body) and (name := _bringing(body, filled)):
        line = _line_of(data.decode(), name, start)
        what = f"{path}:{line}: ${{{{ {name} }}}} brings an encrypted value into the file"
        raise Stalled(what, reason="DecryptionFailed", hint=_WHERE_IT_BELONGS)
    return filled


def _bringing(body: Any, filled: Any) -> str:
    """The first reference whose place holds something encrypted once it is filled in; "" where none does."""
    for place, name in references(body):
        brought = functools.reduce(operator.getitem, place, filled)
        if any(encrypted.is_value(leaf) for _, leaf in encrypted.leaves(brought)):
            return name
    return ""


def _line_of(text: str, name: str, start: int) -> int:
    """The 1-based line at or after `start` that refers to `name`; `start` where it cannot be found."""
    reference = re.compile(r"\$\{\{\s*" + re.escape(name) + r"\s*\}\}")
    for number, line in enumerate(text.splitlines(), 1):
        if number >= start and reference.search(line):
            return number
    return start


def _sentence(found: Violation) -> str:
    hint = f" ({found.hint})" if found.hint else ""
    return f"{found.path}:{found.line}:{found.column}: {found.message}{hint}"
