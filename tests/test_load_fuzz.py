"""Reading is total: whatever a repository holds, only violations come out of load, admit and resolve (V1, V3, V4)."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import fleet
from reconciler.errors import NidusError
from reconciler.model import Content, Limits, Revision, Snapshot
from reconciler.source import trees
from reconciler.spec import config, load, resolve
from tests.fleets import NOW, OLD, record
from tests.spec_cases import FACTS, FILES, RULES

ROUNDS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
CASES: dict[str, Callable[[int], None]] = {}


def case(*drawn: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Keeps a check as one that runs for a number of rounds."""

    def keep(check: Callable[..., None]) -> Callable[..., None]:
        CASES[check.__name__] = lambda rounds: settings(ROUNDS, max_examples=rounds)(given(*drawn)(check))()
        return check

    return keep


LIMITS = Limits(file="64Ki", depth=30)
KEYS = (
    "name",
    "version",
    "metadata",
    "spec",
    "profiles",
    "packs",
    "files",
    "values",
    "variables",
    "objects",
    "kind",
    "labels",
    "",
    "a/b",
    "~",
    "${{ x }}",
)
SCALARS = (
    None, True, 0, -1, 2**53, 2**70, 1.5, 1e308, "", " ", "yes", "1.2.x", "~", ">=1 <0", "*", "../..", "**", "a" * 300, "\x1b[2J",
    "\u202e", "\U0001f600",
    "${{ variables.domain }}", "${{", "${{ cluster.labels. }}", "web/*.yaml", "[", "(", "a)|(b", "\\", "10x", "-5m", "9" * 400,
    "1e999Gi", "2024-13-45T99:99:99Z", "2001:db8::/129", "team-a", "web", "nidus.dev/v1alpha1", "List", {}, [],
)  # fmt: skip
leaves = st.sampled_from(SCALARS) | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
steps = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(("set", "drop", "add", "twice")), values), min_size=1, max_size=4
)
SPECS = ("clusters/team-a.yaml", "profiles/web.yaml", "profiles/web/config.yaml", "profiles/front.yaml")


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    if isinstance(value, dict):
        return [found for key in list(value) for found in ((value, key), *places(value[key]))]
    if isinstance(value, list):
        return [found for index in range(len(value)) for found in ((value, index), *places(value[index]))]
    return []


def changed(body: Any, changes: Sequence[tuple[int, str, Any]]) -> Any:
    """The document after a few changes anywhere in it."""
    body = copy.deepcopy(body)
    for number, how, value in changes:
        found = places(body)
        if not found:
            return value
        container, key = found[number % len(found)]
        if how == "drop":
            del container[key]
        elif how == "set":
            container[key] = copy.deepcopy(value)
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key] if how == "twice" else value))
        else:
            container[str(value)[:20]] = copy.deepcopy(container[key])
    return body


def read(
    files: Mapping[str, bytes], modes: Mapping[str, bytes], known: load.Known, **more: Any
) -> tuple[Snapshot, load.Known]:
    named = [(hashlib.sha1(data).hexdigest(), data) for data in files.values()]
    blobs = dict(named)
    entries = [
        trees.Entry(
            modes.get(path, b"100644"),
            b"commit" if modes.get(path) == b"160000" else b"blob",
            oid,
            len(data),
            path.encode("utf-8", "surrogateescape"),
        )
        for (path, data), (oid, _) in zip(files.items(), named, strict=True)
    ]
    tree = trees.tree("t", entries, trees.bounds(LIMITS))
    wanted = {oid: blobs[oid] for oid in load.wanted(tree, known)}
    return load.load("platform", Revision("main", "c"), tree, wanted, known, RULES, FACTS, LIMITS, **more)


GOOD = {path: text.encode() for path, text in FILES.items()}
BODIES = {path: yaml.safe_load(FILES[path]) for path in SPECS}
SNAPSHOT, KNOWN = read(GOOD, {}, load.NOTHING)
BEFORE = Content(OLD, SNAPSHOT.specs)
RECORDS = {"team-a": record("team-a", digests=resolve.digests("team-a", BEFORE))}


def survives(files: Mapping[str, bytes], modes: Mapping[str, bytes]) -> None:
    """Read, admitted and resolved, with a cluster accepted before: it keeps its content or gets a new one, and is never removed unless its
    file was read and says nothing of it."""
    found, _ = read(
        files,
        modes,
        KNOWN,
        accepted={"team-a": BEFORE.specs.clusters["team-a"]},
        in_use=fleet.in_use(RECORDS.values(), "platform"),
        origins=fleet.profiles({"team-a": BEFORE}),
    )
    assert all(one.message and one.path.isprintable() for one in found.violations)
    rollout = fleet.admit(found, {"team-a": BEFORE}, RECORDS, (), RULES, NOW)
    for name, content in rollout.admitted.items():
        try:
            resolve.bundle(name, content, RULES, FACTS)
        except NidusError as error:
            assert error.message


@case(st.sampled_from(SPECS), steps)
def changed_documents(path: str, changes: Sequence[tuple[int, str, Any]]) -> None:
    body = changed(BODIES[path], changes)
    survives({**GOOD, path: json.dumps(body).encode()}, {})


@case(st.sampled_from(SPECS), steps, st.sampled_from(SPECS), steps)
def two_changed_documents_as_yaml(
    one: str, changes: Sequence[tuple[int, str, Any]], two: str, more: Sequence[tuple[int, str, Any]]
) -> None:
    texts = [
        yaml.safe_dump(changed(BODIES[path], steps_), allow_unicode=True)
        for path, steps_ in ((one, changes), (two, more))
    ]
    survives({**GOOD, one: texts[0].encode(), two: texts[1].encode("utf-8", "replace")}, {})


@case(
    st.sampled_from(SPECS),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=3),
)
def damaged_bytes(path: str, cuts: Sequence[tuple[int, int, bytes]]) -> None:
    data = GOOD[path]
    for start, length, given_ in cuts:
        start %= len(data) + 1
        data = data[:start] + given_ + data[start + length :]
    survives({**GOOD, path: data}, {})


MODES = st.sampled_from((b"100644", b"100755", b"120000", b"160000", b"100600", b"040000"))
names = st.sampled_from(
    (
        "a",
        "b.yaml",
        "Chart.yaml",
        "charts",
        "templates",
        "crds",
        "web",
        "profiles",
        "clusters",
        "-x",
        ".",
        "..",
        ".git",
        "\udcff",
        "\n",
        "é.yaml",
        "x" * 300,
    )
)
paths = st.lists(names, min_size=1, max_size=4).map("/".join) | st.sampled_from(sorted(FILES))


@case(
    st.dictionaries(paths, st.tuples(MODES, st.sampled_from([*GOOD.values(), b"", b"\0", b"nidus.dev/"])), max_size=6),
    st.sets(st.sampled_from(sorted(FILES)), max_size=3),
)
def odd_trees(added: Mapping[str, tuple[bytes, bytes]], gone: set[str]) -> None:
    files = {path: data for path, data in GOOD.items() if path not in gone} | {
        path: data for path, (_, data) in added.items()
    }
    survives(files, {path: mode for path, (mode, _) in added.items()})


@case(steps)
def a_changed_configuration(changes: Sequence[tuple[int, str, Any]]) -> None:
    body = {
        "apiVersion": "nidus.dev/v1alpha1",
        "kind": "ControllerConfig",
        "spec": {
            "sources": [{"name": "p", "url": "/srv/p.git", "interval": "1m"}],
            "engine": {"versions": [{"version": "0.36.1", "chart": {"path": "/nowhere"}}]},
            "limits": {"file": "1Mi", "total": "64Mi"},
            "deletion": {"grace": "1h", "budget": {"clusters": 3}},
            "policy": {"dnsPattern": "*.nested.example.com"},
        },
    }
    found, violations = config.read(json.dumps(changed(body, changes)).encode(), "nidus.yaml")
    assert (found is None) == bool(violations)
    if found is not None:
        try:
            config.rules(found.spec)
        except NidusError as error:
            assert error.message


@pytest.mark.parametrize("name", CASES)
def test_reading_is_total(name: str) -> None:
    CASES[name](60)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_reading_is_total_for_longer(name: str) -> None:
    CASES[name](600)
