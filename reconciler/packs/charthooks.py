"""Which documents of a chart are hooks, and which of those are kept (K7)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.errors import Stalled
from reconciler.packs.objects import Sourced

HOOK = "helm.sh/hook"
TESTS = frozenset({"test", "test-success", "test-failure"})
RUN = frozenset(f"{when}-{what}" for when in ("pre", "post") for what in ("install", "upgrade", "delete"))
DELETE = frozenset({"pre-delete", "post-delete"})
LARGEST = 512 << 10  # bytes of hooks that run when the pack leaves: they are kept in a Secret of the host
MOST = 200  # hooks of one chart: what becomes of each is kept in the record of its cluster
_PLAIN = frozenset({"crd-install"})  # of Helm 2: a definition, which is an object like others


def kept(documents: Iterable[Sourced], policy: str) -> Iterator[Sourced]:
    """The documents that become objects, and with policy Run the hooks that may run. Tests are left out always, and with Ignore all
    hooks. Raises Stalled(HooksRefused) naming the hooks where the policy is Refuse, and where there are more than can be run or kept."""
    refused, run, size = [], 0, 0
    for source, document in documents:
        found = _events(document)
        if not found or found == _PLAIN:
            yield source, document
        elif policy == "Run" and found & RUN:
            run += 1
            size += len(json.dumps(document)) if found & DELETE else 0
            yield source, document
        elif policy == "Refuse" and not found <= TESTS:
            refused.append(f"{document.get('kind')} {document['metadata'].get('name')} ({', '.join(sorted(found))})")
    if run > MOST:
        raise Stalled(
            f"the chart has {run} hooks; {MOST} can be run", reason="HooksRefused", hint="hooks: Ignore leaves them out"
        )
    if size > LARGEST:
        told = f"the hooks that run when the chart leaves have {size} bytes; {LARGEST} can be kept"
        raise Stalled(told, reason="HooksRefused", hint="hooks: Ignore leaves them out")
    if refused:
        hint = "hooks: Run runs them as Helm does, hooks: Ignore leaves them out"
        raise Stalled(f"the chart has hooks: {'; '.join(refused)}", reason="HooksRefused", hint=hint)


def _events(document: Any) -> frozenset[str]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    value = str(annotations.get(HOOK, "")) if isinstance(annotations, dict) else ""
    return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
