"""Hostile values, and changes anywhere in a document, drawn from a `Random`."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml

SIGNS = (
    "\x1b[2J\x1b]0;t\x07",
    "\x9b31m",
    "a\rb",
    "\u202egnp",
    "\u2066x\u2069",
    "\u200b\ufeff",
    "\u2028",
    "\U000e0041",
    "\x00",
    "\n",
)
TEXTS = (
    *SIGNS, "", " ", "yes", "null", "~", "*", "../..", "..", ".", "/", "a/b", "a%2fb", "-x", "=", "[", "(", "a)|(b", "\\", "\"", "a" * 300,
    "a.b" * 90, "é", "\U0001f600", "${{ variables.domain }}", "${{", "${{ cluster.labels. }}", "web/*.yaml", "**", "1.2.x", ">=1 <0", "v1",
    "10x", "-5m", "9" * 400, "1e999Gi", "99999999999999d", "1_000", "²", "1e400", "0x10", "2024-13-45T99:99:99Z", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00", "2001:db8::/129", "0.0.0.0/0", "team-a", "web", "List", "nidus.dev/v1alpha1", "nidus.dev/cluster",
    "nidus", "before-first-apply", "Apply", "Update", "scale", "status", "/metadata/name", "/spec/ports/²", "/data/99999999999999999999",
    "https://[::1", "file:///etc/passwd", "ssh://-oProxyCommand=x/y", "-----BEGIN CERTIFICATE-----\n!",
)  # fmt: skip
NUMBERS = (0, 1, -1, 65536, 2**31, 2**53, 2**63, -(2**63), 2**64 - 1, 2**70, 10**300, 1.5, -0.0, 1e308, 1e-320)
LEAVES: tuple[Any, ...] = (*TEXTS, *NUMBERS, None, True, False, {}, [])
NAMES = (
    "name", "namespace", "version", "metadata", "spec", "status", "kind", "apiVersion", "labels", "annotations", "uid", "data", "items",
    "finalizers", "ownerReferences", "managedFields", "fieldsV1", "manager", "operation", "subresource", "generation", "resourceVersion",
    "ports", "containers", "conditions", "replicas", "packs", "profiles", "values", "variables", "limits", "quota", "continue", "code",
)  # fmt: skip
FIELDS = (
    ".", "f:a", "f:", "f:data", "f:spec", "f:metadata", "f:labels", "f:x y", "f:a.b", "k:", "k:{", "k:{}", 'k:{"name":"a"}',
    'k:{"a b]":"x"}', 'k:{"a b":1}', "k:[1]", 'k:{"name":{"a":[]}}', 'k:{"port":80,"protocol":"TCP"}', "v:", 'v:"a"', "v:[1]",
    'v:{"a":1}', "v:NaN", "v:null", "i:1", "i:-1", "i:²", "i:99999999999999999999", "k:" + "[" * 500, "z", ":", "", *SIGNS,
)  # fmt: skip


def value(draw: Random, depth: int = 3) -> Any:
    """Any JSON value, of a few levels."""
    kind = draw.random()
    if depth == 0 or kind < 0.6:
        return draw.choice(LEAVES)
    if kind < 0.8:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {name(draw): value(draw, depth - 1) for _ in range(draw.randrange(4))}


def name(draw: Random) -> str:
    return draw.choice(NAMES) if draw.random() < 0.7 else draw.choice(TEXTS)


def fields(draw: Random, depth: int = 4) -> dict[str, Any]:
    """A tree of fieldsV1 that no server would write."""
    if depth == 0:
        return {}
    found: dict[str, Any] = {draw.choice(FIELDS): fields(draw, depth - 1) for _ in range(draw.randrange(4))}
    if draw.random() < 0.03:
        found[draw.choice(FIELDS)] = value(draw, 1)
    return found


def managed(draw: Random) -> list[Any]:
    """managedFields of the right outer shape and of any content."""
    return [
        {
            "manager": draw.choice(("nidus", "kubectl", *SIGNS, "")),
            "operation": draw.choice(("Apply", "Update", "x")),
            "apiVersion": "v1",
            "time": draw.choice((None, "2026-01-01T00:00:00Z", draw.choice(TEXTS))),
            "subresource": draw.choice(("", "", "status", "scale", "x")),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields(draw),
        }
        for _ in range(draw.randrange(4))
    ]


def hostile_metadata(draw: Random) -> dict[str, Any]:
    """Some of the fields of metadata, as a tenant may have them stored or a server may claim them."""
    texts = {draw.choice(TEXTS): draw.choice(TEXTS) for _ in range(draw.randrange(4))}
    ours = {f"nidus.dev/{one}": draw.choice(TEXTS) for one in ("cluster", "layer", "nonce") if draw.random() < 0.3}
    owner = {"apiVersion": "v1", "kind": draw.choice(TEXTS), "name": draw.choice(TEXTS), "uid": draw.choice(TEXTS)}
    given: dict[str, Callable[[], Any]] = {
        "managedFields": lambda: managed(draw),
        "labels": lambda: texts | ours,
        "annotations": lambda: ours | texts,
        "finalizers": lambda: [draw.choice(TEXTS) for _ in range(draw.randrange(3))],
        "ownerReferences": lambda: [owner],
        "generation": lambda: draw.choice(NUMBERS),
        "deletionTimestamp": lambda: draw.choice(TEXTS),
        "creationTimestamp": lambda: draw.choice(TEXTS),
        "uid": lambda: draw.choice(TEXTS),
        "resourceVersion": lambda: draw.choice(TEXTS),
    }
    chosen = draw.sample(sorted(given), draw.randrange(1, 4))
    return {one: given[one]() if draw.random() < 0.85 else value(draw, 2) for one in chosen}


def places(document: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    found: list[tuple[Any, Any]] = []
    todo = [document]
    while todo:
        one = todo.pop()
        keys: Sequence[Any] = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            todo.append(one[key])
    return found


def change(draw: Random, document: Any, most: int = 3) -> Any:
    """A copy of the document, changed in a few places anywhere in it; any value where nothing of it is left."""
    document = json.loads(json.dumps(document))
    for _ in range(draw.randint(1, most)):
        found = places(document)
        if not found:
            return value(draw)
        container, key = draw.choice(found)
        how = draw.random()
        if how < 0.5:
            container[key] = value(draw, 2)
        elif how < 0.7:
            del container[key]
        elif isinstance(container, list):
            container.append(container[key] if how < 0.85 else value(draw, 2))
        else:
            container[name(draw)] = container[key]
    return document


def damage(draw: Random, data: bytes) -> bytes:
    """Bytes with a few cuts and insertions."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(data) + 1)
        given = draw.choice(
            (
                b"",
                draw.randbytes(draw.randrange(6)),
                draw.choice(TEXTS).encode("utf-8", "replace"),
                b"[" * draw.randrange(300),
            )
        )
        data = data[:at] + given + data[at + draw.randrange(20) :]
    return data


def written(*documents: Any) -> bytes:
    """As YAML, by libyaml where it is there: what is written in Python takes longer than what is tried with it."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump_all(documents, Dumper=dumper, allow_unicode=True)).encode("utf-8", "replace")


def encoded(document: Any) -> bytes:
    """As JSON, also of what is no JSON value of Kubernetes."""
    return json.dumps(document).encode()
