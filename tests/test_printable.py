"""Control characters from a repository or a server never reach a terminal, a log or a status object. Real parts, every border."""

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from reconciler.apply.object import Ground, execute
from reconciler.errors import LINE, Stalled, one_line, short
from reconciler.kube.client import Client
from reconciler.kube.transport import Transport
from reconciler.model import Change, Condition, Held, Plan, Report, Revision, SourceReport, Target, Violation
from reconciler.report import log, view
from reconciler.report.statuses import Statuses
from reconciler.report.view import Place
from reconciler.source import answers
from reconciler.verbs import status, table
from schemas import crds
from tests import shell
from tests.fuzz.answers import LIVE, META, REF, Given
from tests.memory.server import Server
from tests.spec_cases import CLUSTER, FILES

SIGNS = (
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\x7f\x08",
    "a\rb",
    "\u202egnp",
    "\u2066x\u2069",
    "\u200b\ufeff",
    "\u2028",
    "\u3164\u115f\u2800\u034f\ufe0f\U000e0100",
    "\udc80",
    "\U000e0041",
)
BLANK = frozenset("\u3164\u115f\u2800\u034f\ufe0f\U000e0100")
REVISION = Revision("main", "c" * 40)


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def drawn(text: str) -> bool:
    """Nothing of SIGNS is in it: what Python calls printable may still show nothing."""
    return text.isprintable() and not BLANK & set(text)


def quiet(text: str) -> bool:
    return all(drawn(line) for line in text.split("\n"))


@pytest.mark.parametrize("sign", SIGNS)
def test_errors_and_violations_are_printable_once_they_are_made(sign: str) -> None:
    error = Stalled(f"chart {sign}", hint=f"do {sign}")
    assert drawn(error.message) and drawn(error.hint) and drawn(str(error))
    one = Violation(f"a/{sign}", 1, 1, "NID122", f"unknown {sign}", f"/{sign}", f"not {sign}", f"cluster/{sign}")
    assert all(drawn(text) for text in (one.path, one.message, one.pointer, one.hint, one.subject))
    assert drawn(one_line(sign))
    with pytest.raises(Exception) as caught:
        answers.refuse(f"fatal: {sign}", "fetching")
    assert drawn(str(caught.value))


@pytest.mark.parametrize("sign", SIGNS[:-2])
def test_what_holds_a_deleted_object_is_told_in_one_line(sign: str) -> None:
    """Anybody may name a finalizer, and set as many as fit."""
    given = Given()
    client = Client(Transport(given))
    client.namespaced("", "ConfigMap")
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [sign] * 2000}
    given.body = json.dumps({**LIVE, "metadata": {**META, **ending}}).encode()
    change = Change("delete", Target("local", "team-a"), REF, "web/base", uid="u1")
    told = execute(change, client, Ground(None, None))
    assert told.outcome == "deleting" and drawn(told.error) and len(told.error) <= LINE


@pytest.mark.parametrize("sign", SIGNS)
def test_a_log_line_is_printable_however_it_is_read(sign: str) -> None:
    stream = io.StringIO()
    log.line("Event", stream, message=sign, more={sign: [sign, 1]}, other=Path(sign))
    line = stream.getvalue()
    assert line.endswith("\n") and drawn(line[:-1])
    assert all(drawn(text) for text in texts(json.loads(line)))


@pytest.mark.parametrize("sign", SIGNS)
def test_status_objects_are_printable(sign: str) -> None:
    server = Server()
    for item in crds.definitions().values():
        server.put(item)
    client = shell.client(server)
    statuses = Statuses(client, "default")
    held = Held("Held", sign, "d", (sign,))
    violation = Violation("a.yaml", 1, 1, "NID122", sign)
    source = SourceReport("platform", REVISION, (violation,), held=held, error=sign, trigger=sign)
    statuses.source(view.source(source, None, {"url": sign}))
    found = (Condition("Ready", "False", "Degraded", sign),)
    report = Report("a", REVISION, Plan("a", REVISION, ()), (), (), found, "Degraded", held)
    statuses.cluster(view.cluster(report, None, Place("platform", sign), 1.0))
    assert statuses.settle(60.0)
    statuses.close()
    for kind in ("Source", "NestedCluster"):
        (item,), _ = client.list("nidus.dev", kind, namespace="default")
        assert all(drawn(text) for text in texts(dict(item)))


@pytest.mark.parametrize("sign", [one for one in SIGNS if one.isascii() or not "\ud800" <= one <= "\udfff"])
def test_the_status_verb_prints_what_prints(sign: str) -> None:
    """Also of objects that somebody else wrote. JSON on the wire has no lone surrogates."""
    assert quiet(table.render(("NAME", "MESSAGE"), [("a", sign)]))
    condition = {"type": "Ready", "status": "False", "reason": sign, "message": sign}
    layers = [{"name": sign, "target": sign, "health": sign, "message": sign}]
    told = {"file": sign, "line": 1, "column": 1, "code": "NID122", "message": sign}
    statuses = {
        "NestedCluster": {"status": sign, "conditions": [condition], "layers": layers, "plan": {"held": [sign]}},
        "Source": {"error": sign, "violations": [told], "held": {"message": sign}, "trigger": sign, "revision": sign},
    }
    server = Server()
    for item in crds.definitions().values():
        server.put(item)
    for kind, said in statuses.items():
        head = {"apiVersion": "nidus.dev/v1alpha1", "kind": kind, "metadata": {"name": "a", "namespace": "default"}}
        server.put({**head, "spec": {"file": sign, "source": sign, "url": sign}})
        server.apply({**head, "status": said}, subresource="status")
    for name, output in (("", ""), ("", "wide"), ("a", ""), ("", "yaml"), ("", "json"), ("", "name")):
        args = argparse.Namespace(name=name, output=output, namespace="default")
        text, _ = status._text(shell.client(server), args)
        assert text and quiet(text), (name, output)


@pytest.mark.parametrize("sign", SIGNS[:-2])
def test_validate_of_a_hostile_folder_prints_what_prints(
    sign: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spelled = json.dumps(sign)
    files = {
        **FILES,
        "clusters/raw.yaml": f"# nidus.dev/ {sign}\na: [\n",
        "clusters/key.yaml": CLUSTER.replace("team-a", "team-b") + f"  {spelled}: 1\n",
        "clusters/name.yaml": CLUSTER.replace("team-a, labels", f"{spelled}, labels"),
        "clusters/profile.yaml": CLUSTER.replace("team-a", "team-c").replace(
            "name: web, version", f"name: {spelled}, version"
        ),
        f"clusters/{sign.replace('/', '')}.yaml": CLUSTER,
        "profiles/bad.yaml": FILES["profiles/web.yaml"]
        .replace("name: web}", "name: bad}")
        .replace("web/*.yaml", spelled[1:-1]),
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert main(["validate", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert quiet(told.out) and quiet(told.err) and told.out.count("NID") >= 5
    assert main(["validate", str(tmp_path), "-o", "json"]) == 1
    assert all(drawn(text) for text in texts(json.loads(capsys.readouterr().out)))


@pytest.mark.parametrize("sign", [sign for sign in SIGNS if sign != "\udc80"])
def test_an_error_of_the_command_line_prints_what_prints(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", f"/nowhere/{sign}"]) == 64
    told = capsys.readouterr()
    assert quiet(told.out) and quiet(told.err)


@pytest.mark.parametrize(
    ("revision", "shown"),
    [
        ("main@sha1:" + "0123456789" * 4, "main@sha1:0123456"),
        ("a@b@sha256:" + "01234567" * 8, "a@b@sha256:0123456"),
        ("main", "main"),
        ("main@sha1", "main@sha1"),
        ("main@other:0123456789", "main@other:0123456789"),
        ("", ""),
    ],
)
def test_a_revision_is_shown_by_its_first_digits(revision: str, shown: str) -> None:
    assert short(revision) == shown
