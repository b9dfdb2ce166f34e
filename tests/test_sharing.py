"""Packs of kind `secrets`: what is shared, with whom, and how a rotation rolls out (K11)."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest

from reconciler.controller.shared import Shared
from reconciler.model import Bundle, Layer, Revision, Target, replace
from reconciler.plan import render_text, sharing
from reconciler.plan.lines import Style
from reconciler.spec import config
from tests import shell
from tests.memory.server import Server
from tests.passes import Fleet, cluster, config_map, pack, profile
from tests.spec_cases import FILES, snapshot

SHARE = "nidus-shared"
LAYER = "web/keys"
HOME = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHARE}}
KEYS = {"name": "keys", "namespace": "web", "secrets": [{"from": "cosign", "to": "signing"}]}


def shared(text: str, allow: str | None = "a", **more: Any) -> dict[str, Any]:
    notes = {"annotations": {"nidus.dev/allow": allow}} if allow is not None else {}
    metadata = {"name": "cosign", "namespace": SHARE, **notes}
    data = {"key": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data, **more}


def pushed(secret: dict[str, Any] | None) -> Fleet:
    fleet = Fleet()
    fleet.host.put(HOME)
    if secret is not None:
        fleet.host.put(secret)
    fleet.push({"p.yaml": profile(KEYS, pack("rest", config_map("rest"), dependsOn=[])), "a.yaml": cluster("a")})
    fleet.run()
    return fleet


def copied(fleet: Fleet) -> str:
    found = fleet.nested["a"].get("", "Secret", "web", "signing")
    return base64.b64decode(found["data"]["key"]).decode() if found else ""


def looked(fleet: Fleet) -> Fleet:
    fleet.queue.add("a")
    fleet.run()
    return fleet


def test_what_is_shared_is_copied_and_follows_its_rotation() -> None:
    fleet = pushed(shared("one"))
    assert (fleet.word("a"), copied(fleet)) == ("Ready", "one")
    before = fleet.nested["a"].core.storage.version
    assert looked(fleet).nested["a"].core.storage.version == before
    fleet.host.put(shared("two"))
    assert copied(looked(fleet)) == "two"
    fleet.restart()
    assert copied(looked(fleet)) == "two"


@pytest.mark.parametrize(
    "secret",
    [
        None,
        shared("one", allow=None),
        shared("one", allow=""),
        shared("one", allow="b, c"),
        shared("one", allow="*"),
        shared("one", type="kubernetes.io/service-account-token"),
    ],
    ids=["absent", "not annotated", "empty", "others", "no selector", "a token"],
)
def test_absent_and_denied_are_the_same_answer(secret: dict[str, Any] | None) -> None:
    fleet = pushed(secret)
    found = fleet.layer("a", LAYER)
    said = "NotShared: no Secret cosign is shared with a; the operator makes it, or adds a to its annotation nidus.dev/allow"
    assert (found.state, found.message) == ("Failed", said)
    assert copied(fleet) == ""
    assert fleet.names("a") == ["rest"]  # what depends on nothing is not stopped


def test_what_is_no_longer_shared_stays_until_the_pack_leaves() -> None:
    fleet = pushed(shared("one"))
    fleet.host.put(shared("two", allow="b"))
    assert copied(looked(fleet)) == "one"
    assert fleet.layer("a", LAYER).state == "Failed"
    fleet.push({"p.yaml": profile(pack("rest", config_map("rest"))), "a.yaml": cluster("a")})
    fleet.run()
    assert copied(fleet) == ""


def test_nothing_shared_is_in_a_plan_a_log_or_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = pushed(shared("the-first-secret"))
    fleet.host.put(shared("the-second-secret"))
    said = render_text.render(fleet.review(), Style(detail=True, creates=True))
    looked(fleet)
    out = capsys.readouterr()
    said += out.out + out.err + str(fleet.reporter.clusters) + str(fleet.host.objects("", "ConfigMap"))
    for text in ("the-first-secret", "the-second-secret"):
        assert text not in said
        assert base64.b64encode(text.encode()).decode() not in said


@pytest.mark.parametrize(
    ("annotation", "yes"),
    [
        ("a", True),
        (" a ", True),
        ("b, a", True),
        ("b", False),
        ("aa", False),
        ("stage=dev", True),
        ("stage==dev", True),
        ("stage = dev, team=x", True),
        ("stage=dev, team=y", False),
        ("stage!=prod", True),
        ("team in (x, y)", True),
        ("team notin (x, y)", False),
        ("team in (y),stage=dev", False),
        ("other=", False),
        ("other!=1", True),
        ("a, stage=prod", False),
        ("(", False),
        ("stage=dev;x", False),
        ("", False),
        (",", False),
    ],
)
def test_an_annotation_allows_names_or_labels(annotation: str, yes: bool) -> None:
    assert sharing.allowed(annotation, "a", {"stage": "dev", "team": "x"}) is yes


def test_a_copy_is_an_object_of_its_pack() -> None:
    pack_ = "    - name: keys\n      namespace: web\n      secrets: [{from: a, to: config}, {from: b, to: config}]\n"
    found = snapshot({**FILES, "profiles/web.yaml": FILES["profiles/web.yaml"] + pack_})[0].violations
    assert any("Secret config is claimed by" in one.message for one in found), found


def test_the_share_namespace_is_not_the_controllers_own() -> None:
    body = (
        "apiVersion: nidus.dev/v1alpha1\nkind: ControllerConfig\nspec:\n  shareNamespace: nidus-system\n"
        "  sources: [{name: a, url: /a}]\n  engine: {versions: [{version: 0.36.1, chart: {path: /c}}]}\n"
    )
    found, (mistake,) = config.read(body.encode(), "nidus.yaml")
    assert (found, mistake.line, mistake.message) == (None, 4, "the namespace of the controller itself")


def test_a_change_wakes_the_clusters_that_copy_and_nobody_else() -> None:
    server = Server("host")
    server.put(HOME)
    server.put(shared("one"))
    layer = Layer(LAYER, Target("host", "a"), "secrets", {"secrets": []}, "d")
    bundle = Bundle("a", "vcluster-a", Revision("main", "1"), (layer,), "d")
    woken: list[str] = []
    heard = threading.Semaphore(0)

    def wake(name: str) -> None:
        woken.append(name)
        heard.release()

    found = Shared(shell.client(server), SHARE, wake, lambda what, error: None)
    found.follow(replace(bundle, cluster="b", layers=()))
    assert found._watch is None
    found.follow(bundle)
    try:
        assert heard.acquire(timeout=30)  # it is open
        assert heard.acquire(timeout=30)  # the Secret that is there
        server.put(shared("two"))
        assert heard.acquire(timeout=30)
        assert set(woken) == {"a"}
        found.follow(replace(bundle, layers=()))
        assert found._watch is None
    finally:
        found.stop()


# Sensitive variables

TOKEN = {"name": "token", "sensitive": True, "required": True}
WHERE = {"fromSecret": {"name": "cosign", "key": "key"}}


def with_variable(*objects: dict[str, Any], value: Any = None, **more: Any) -> dict[str, str]:
    body = json.loads(profile(pack("app", *objects), pack("rest", config_map("rest"), dependsOn=[]), **more))
    body["spec"]["variables"] = [TOKEN]
    uses = [{"name": "web", "version": "1.x", "variables": {"token": value or WHERE}}]
    return {"p.yaml": json.dumps(body), "a.yaml": cluster("a", profiles=uses)}


def login(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, **more}


def variable(*objects: dict[str, Any], secret: dict[str, Any] | None) -> Fleet:
    fleet = Fleet()
    fleet.host.put(HOME)
    if secret is not None:
        fleet.host.put(secret)
    fleet.push(with_variable(*objects))
    fleet.run()
    return fleet


def test_a_sensitive_variable_fills_secrets_and_follows_its_rotation(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"plain": "${{ variables.token }}", "url": "https://x:${{ variables.token }}@example.com"}
    fleet = variable(login(stringData=texts, data={"raw": "${{ variables.token }}"}), secret=shared("first-secret"))
    assert fleet.word("a") == "Ready", fleet.layer("a", "web/app").message

    def data() -> dict[str, str]:
        found = fleet.nested["a"].get("", "Secret", "web", "login")["data"]
        return {key: base64.b64decode(value).decode() for key, value in found.items()}

    assert data() == {"plain": "first-secret", "url": "https://x:first-secret@example.com", "raw": "first-secret"}
    before = fleet.nested["a"].core.storage.version
    assert looked(fleet).nested["a"].core.storage.version == before
    fleet.host.put(shared("second-secret"))
    said = render_text.render(fleet.review(), Style(detail=True, creates=True))
    assert looked(fleet) and data()["plain"] == "second-secret"
    out = capsys.readouterr()
    said += out.out + out.err + str(fleet.reporter.clusters) + str(fleet.host.objects("", "ConfigMap"))
    assert "first-secret" not in said and "second-secret" not in said
    assert "(sensitive, sha256:" in said


@pytest.mark.parametrize("secret", [None, shared("one", allow="b"), shared("one", data={"other": "YQ=="})])
def test_a_value_that_is_missing_or_denied_is_the_same_answer(secret: dict[str, Any] | None) -> None:
    fleet = variable(login(stringData={"a": "${{ variables.token }}"}), secret=secret)
    said = (
        "NotShared: no Secret cosign with key key is shared with a; the operator makes it, or adds a to its annotation"
    )
    assert fleet.layer("a", "web/app").message == f"{said} nidus.dev/allow"
    assert fleet.names("a") == ["rest"]


@pytest.mark.parametrize(
    "one",
    [
        config_map("a", text="${{ variables.token }}"),
        config_map("a", text="x \ue000cosign/key\ue001"),
        login(metadata={"name": "login", "labels": {"a": "${{ variables.token }}"}}),
        {"apiVersion": "v1", "kind": "List", "items": [config_map("a", text="${{ variables.token }}")]},
    ],
)
def test_it_stands_in_the_data_of_a_secret_only(one: dict[str, Any]) -> None:
    fleet = variable(one, secret=shared("one"))
    assert "a sensitive variable stands outside the data of a Secret" in fleet.layer("a", "web/app").message
    assert fleet.names("a") == ["rest"]


def test_it_is_no_value_of_a_chart() -> None:
    helm = {"chart": {"path": "chart"}, "values": {"a": "${{ variables.token }}"}}
    given = with_variable()
    body = json.loads(given["p.yaml"])
    body["spec"]["packs"] = [{"name": "app", "namespace": "web", "helm": helm}]
    fleet = Fleet()
    fleet.push(
        {
            **given,
            "p.yaml": json.dumps(body),
            "chart/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
            "chart/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n",
        }
    )
    fleet.run()
    assert "a sensitive variable stands in the values of a chart" in fleet.layer("a", "web/app").message


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("hunter2", "variable token is sensitive: its value stands in no file"),
        ({"fromSecret": {"name": "a"}}, "variable token is sensitive: its value stands in no file"),
        ({"fromSecret": {"name": "A/b", "key": "k"}}, "variable token is sensitive: its value stands in no file"),
    ],
)
def test_its_value_stands_in_no_file(value: Any, told: str) -> None:
    found = snapshot(with_variable(value=value))[0].violations
    assert [one.message for one in found if one.path == "a.yaml"] == [told]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("more", [{"default": "a"}, {"type": "integer"}, {"enum": ["a"]}, {"pattern": "a+"}])
def test_a_declaration_tells_nothing_of_it(more: dict[str, Any]) -> None:
    given = with_variable()
    body = json.loads(given["p.yaml"])
    body["spec"]["variables"] = [{"name": "token", "sensitive": True, **more}]
    found = snapshot({**given, "p.yaml": json.dumps(body)})[0].violations
    (name,) = more
    assert f"a sensitive variable is a text that nobody sees: it has no {name}" in [one.message for one in found]
