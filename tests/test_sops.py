"""Documents and values that SOPS encrypted: read with the keys of their source, refused where anything was changed, told to nobody (K12).

The files in tests/sops were made by sops itself.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import settings
from reconciler.__main__ import main
from reconciler.controller import contents
from reconciler.errors import Stalled
from reconciler.model import Layer, Limits, Target
from reconciler.packs import keys, sealed, sops
from reconciler.packs.documents import LIMITS
from reconciler.packs.queue import Owner
from reconciler.packs.render import Renderer
from reconciler.plan import render_text
from reconciler.plan.lines import Style
from reconciler.spec import manifests, yaml
from tests.passes import SOURCE, Fleet, cluster, profile

FILES = Path(__file__).parent / "sops"
CLEAR = ("clear-text-of-the-password", "clear-text-of-the-token", "clear-text-of-a-value")
SAID = ["shop", "clear-text-of-the-password ${{ literally }}", "host: db\nport: 5432\n"]
TOKEN = base64.b64encode(b"clear-text-of-the-token").decode()
VALUES = ["clear-text-of-a-value", 5432, 1.5, 1e-05, 1e20, True, False, "first-secret-item", 2, True]
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
INTO_A_SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: "{{ .Values.auth.password }}", port: "{{ .Values.auth.port }}"}
"""


def read(data: bytes, folder: str) -> dict[str, Any]:
    """What the file says with the keys of a folder."""
    parsed = yaml.parse(data, "a.yaml", LIMITS, largest=1 << 63)
    assert not parsed.violations
    return dict(sops.opened("a.yaml", [one.body for one in parsed.documents], keys.read(FILES / folder)))


def refused(data: bytes, folder: str = "old") -> Stalled:
    with pytest.raises(Stalled) as error:
        read(data, folder)
    assert error.value.reason == "DecryptionFailed"
    assert not any(one in error.value.told for one in CLEAR)
    return error.value


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("login", "old", [*SAID, TOKEN]),
        ("only", "old", [*SAID, TOKEN]),  # the code is over the encrypted leaves alone
        ("both", "old", [*SAID, TOKEN]),
        ("both", "new", [*SAID, TOKEN]),
        ("rotated", "new", [*SAID, TOKEN]),
        ("secret-values", "old", VALUES),
    ],
)
def test_a_file_of_sops_is_read(name: str, folder: str, said: list[Any]) -> None:
    assert list(read((FILES / f"{name}.yaml").read_bytes(), folder).values()) == said


def test_a_file_for_other_keys_is_refused_by_their_public_names() -> None:
    told = refused((FILES / "login.yaml").read_bytes(), "new").message
    assert told.startswith("a.yaml cannot be decrypted: it is encrypted for age1") and told.endswith(
        "none of these keys is here"
    )


@pytest.mark.parametrize("name", ["login", "only", "secret-values"])
def test_a_changed_byte_is_refused(name: str) -> None:
    """Whatever is changed in a value, in its place or in the code: refused, or without any effect on what is read."""
    whole = (FILES / f"{name}.yaml").read_bytes()
    parsed = [one.body for one in yaml.parse(whole, "a.yaml", LIMITS, largest=1 << 63).documents]
    before, changed = read(whole, "old"), 0
    for at in range(5, len(whole), 61):
        data = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        again = yaml.parse(data, "a.yaml", LIMITS, largest=1 << 63)
        if again.violations:
            continue
        bodies = [one.body for one in again.documents]
        try:
            assert dict(sops.opened("a.yaml", bodies, keys.read(FILES / "old"))) == before
        except Stalled as error:
            assert error.reason == "DecryptionFailed"
            changed += 1
            continue
        plain = [{key: one for key, one in body.items() if key != "sops"} for body in bodies]
        unsealed = [{key: one for key, one in body.items() if key != "sops"} for body in parsed]
        assert plain == unsealed or name == "only" or _renamed(plain, unsealed)
    assert changed > 9


def _renamed(one: Any, other: Any) -> bool:
    """SOPS' code covers the leaves and not the names of clear fields: only such a name differs."""
    return [leaf for _, leaf in _leaves(one)] == [leaf for _, leaf in _leaves(other)]


def _leaves(body: Any) -> Iterator[tuple[str, Any]]:
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    if not isinstance(body, dict | list):
        yield "", body
    for _, one in items:
        yield from _leaves(one)


def text(name: str = "login") -> str:
    return (FILES / f"{name}.yaml").read_text()


MARK = "\n---\n"


def parts(name: str = "login") -> list[str]:
    """The documents of a file."""
    return text(name).split(MARK)


def swapped(one: str, other: str) -> str:
    """Two lines of the file in each other's place, by how they begin."""
    lines = text().splitlines()
    first, second = (
        next(at for at, line in enumerate(lines) if line.strip().startswith(mark)) for mark in (one, other)
    )
    values = [lines[at].split(": ", 1)[1] for at in (first, second)]
    lines[first], lines[second] = f"    {one} {values[1]}", f"    {other} {values[0]}"
    return "\n".join(lines)


def line(begin: str, new: str, name: str = "login") -> str:
    lines = [new if one.startswith(begin) else one for one in text(name).splitlines()]
    assert "\n".join(lines) != text(name)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (swapped("user:", "password:"), "changed or moved"),
        (line("    user:", "    user: somebody"), "changed after it was encrypted"),
        (line("    user:", "    other: x"), "changed after it was encrypted"),
        (line("type:", "type: kubernetes.io/tls"), "changed after it was encrypted"),
        (line("    lastmodified:", '    lastmodified: "2020-01-01T00:00:00Z"'), "changed or moved"),
        (line("    mac:", "    mac: x"), "damaged"),
        (line("    mac:", "    mac: null"), "damaged"),
        (line("    mac_only_encrypted:", "    mac_only_encrypted: false", "only"), "changed after it was encrypted"),
        (text() + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n", "not part of what was encrypted"),
        (parts()[0] + MARK + parts()[1], "changed after it was encrypted"),
        (parts()[0] + MARK + parts("rotated")[1], "not part of what was encrypted"),
        (text().replace("type:str", "type:time", 2), "not a value"),
        (text().replace("BEGIN AGE ENCRYPTED FILE", "BEGIN"), "none of these keys is here"),
        (text().replace("sops:\n    age:\n", "sops:\n    pgp:\n"), "for no age key"),
    ],
    ids=["values swapped", "clear value", "clear name", "clear type", "time", "no code", "null as code", "less in the code",
         "more documents", "fewer documents", "another file's document", "another type", "damaged key", "another way of keys"],
)  # fmt: skip
def test_what_was_changed_is_refused_in_one_sentence(changed: str, why: str) -> None:
    assert why in refused(changed.encode()).message


# What a source says of it


def found(data: str, objects: bool = True) -> list[str]:
    return [
        one.message for one in manifests.read("a.yaml", "0" * 40, data.encode(), Limits(), objects=objects).violations
    ]


NO_VALUE = "not a value that SOPS encrypted as text, number or switch"


@pytest.mark.parametrize(
    ("data", "objects", "why"),
    [
        (text(), True, []),
        (text("only"), True, []),
        (text("secret-values"), False, []),
        (text("whole"), True, ["an encrypted value outside the data of a Secret"]),
        (text().replace("kind: Secret", "kind: Login"), True, ["an encrypted value outside the data of a Secret"]),
        (line("    user:", "    user: plain"), True, ["a Secret with literal stringData"]),
        (line("sops:", "others:"), True, ["a Secret with literal stringData"]),
        (text().replace("type:str", "type:bytes", 2), True, ["a Secret with literal stringData", NO_VALUE]),
        (text().replace("    age:\n", "    kms:\n"), True, ["the file is encrypted for no age key"]),
        (line("    version:", "    key_groups: [{}]"), True, ["the key of the file is split over groups of keys"]),
    ],
    ids=[
        "objects",
        "less in the code",
        "values",
        "whole",
        "another kind",
        "a clear value",
        "no block",
        "bytes",
        "kms",
        "groups",
    ],
)
def test_what_is_not_read_is_a_mistake_in_the_source(data: str, objects: bool, why: list[str]) -> None:
    assert sorted(set(found(data, objects)) - {"a Secret with literal data"}) == why


# Rendered


class Blobs:
    """Files by oid, where an oid is the content itself."""

    def __call__(self, oids: Collection[str]) -> dict[str, bytes]:
        return {oid: oid.encode() for oid in oids}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(FILES / "old", tmp_path_factory.mktemp("keys") / "old"))


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Iterator[Renderer]:
    made = Renderer(1, keys=keys.of({SOURCE: str(folder)}))
    yield made
    made.close()


def layer(name: str, *, data: str = "", variables: dict[str, Any] | None = None) -> Layer:
    """A pack of one file, which is `data` where that is given."""
    files = ((f"{name}.yaml", data or text(name)),)
    known = {"cluster": {"name": "web"}, "variables": variables or {}}
    digest = f"{name}{data}{variables}"
    return Layer("p/a", Target("local", "a"), "manifests", {}, digest, files, context=known, namespace="web")


def chart(template: str, **more: Any) -> Layer:
    files = {"chart/Chart.yaml": CHART, "chart/templates/a.yaml": template, "v.yaml": text("secret-values")}
    spec = {"chart": "chart", "release": "web", "valuesFiles": ["v.yaml"], **more}
    return Layer("p/a", Target("local", "a"), "helm", spec, template + str(more), tuple(files.items()), namespace="web")


def objects(renderer: Renderer, one: Layer, source: str = SOURCE) -> list[Any]:
    return list(renderer.render(one, Blobs(), host_version="v1.36.0", owner=Owner(source, "a")))


def failed(renderer: Renderer, one: Layer, source: str = SOURCE) -> Stalled:
    with pytest.raises(Stalled) as error:
        objects(renderer, one, source)
    assert not any(word in error.value.told for word in CLEAR)
    return error.value


def test_variables_are_filled_in_outside_of_what_is_encrypted(renderer: Renderer) -> None:
    first, account, second = objects(renderer, layer("login"))
    assert first["metadata"]["namespace"] == "web" and "sops" not in first
    assert first["stringData"] == {"user": "shop", "password": SAID[1], "config": SAID[2], "empty": ""}
    assert account["kind"] == "ServiceAccount" and second["data"] == {"token": TOKEN}


def test_a_secret_in_clear_that_a_variable_makes_is_seen_in_an_encrypted_file(renderer: Renderer) -> None:
    """SOPS' code covers the encrypted leaves of this file alone, and the source sees no Secret yet."""
    hidden = "kind: ${{ variables.kind }}\nstringData: {user: %s}"
    data = text("only").replace("kind: ServiceAccount", hidden % "in-the-clear")
    data = data.replace("automountServiceAccountToken: false\n", "")
    assert found(data) == []
    error = failed(renderer, layer("only", data=data, variables={"kind": "Secret"}))
    assert (error.reason, "a Secret with literal stringData" in error.message) == ("ObjectRefused", True)
    empty = layer("only", data=data.replace("in-the-clear", '""'), variables={"kind": "Secret"})
    assert [one["kind"] for one in objects(renderer, empty)] == ["Secret"] * 3


CIPHER = next(one for one in text("only").split() if one.startswith("ENC[AES256_GCM,data:PavI"))


@pytest.mark.parametrize(
    ("stands", "variables"),
    [
        ("{more: '${{ variables.x }}'}", {"x": CIPHER}),
        ("{more: '${{ variables.x }}${{ variables.y }}'}", {"x": CIPHER[:9], "y": CIPHER[9:]}),
        ("${{ variables.x }}", {"x": {"more": CIPHER}}),
    ],
    ids=["whole", "in pieces", "in a map"],
)
def test_no_variable_brings_an_encrypted_value_to_another_place(
    renderer: Renderer, stands: str, variables: dict[str, Any]
) -> None:
    data = text("only").replace("    name: second\n", f"    name: second\nstringData: {stands}\n")
    assert found(data) == []
    error = failed(renderer, layer("only", data=data, variables=variables))
    assert (error.reason, "${{ variables.x }} brings an encrypted value" in error.message) == ("DecryptionFailed", True)
    assert CIPHER not in error.told


def test_keys_are_read_anew_and_count_side_by_side(renderer: Renderer, folder: Path) -> None:
    assert failed(renderer, layer("rotated")).reason == "DecryptionFailed"
    shutil.copy(FILES / "new" / "new.agekey", folder)
    assert objects(renderer, layer("rotated")) and objects(renderer, layer("login"))
    try:
        (folder / "old.agekey").unlink()
        assert failed(renderer, layer("login")).reason == "DecryptionFailed"  # what was read before is not kept
    finally:
        shutil.copy(FILES / "old" / "old.agekey", folder)


def test_a_source_has_its_own_keys_only(renderer: Renderer) -> None:
    error = failed(renderer, layer("login"), "another")
    assert (error.reason, error.message) == (keys.KEYS_ABSENT, "it is encrypted, and the source has no keys to read it")


def test_values_come_into_secrets_and_nowhere_else(renderer: Renderer) -> None:
    [found] = objects(renderer, chart(INTO_A_SECRET))
    assert found["stringData"] == {"password": "clear-text-of-a-value", "port": "5432"}
    error = failed(renderer, chart(INTO_A_SECRET.replace("kind: Secret", "kind: Login")))
    place = "web/templates/a.yaml: an encrypted value stands in stringData.password, outside the data of a Secret"
    assert (error.reason, error.message) == ("ObjectRefused", place)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("a: {{ fail (printf `no %s` .Values.auth.password) }}", "web/templates/a.yaml:1:6: what"),
        ("a: {{ required (b64enc .Values.auth.password) .Values.none }}", "web/templates/a.yaml:1:6: what"),
        ("a: {{ .Values.auth.password.x }}", "web/templates/a.yaml:1:13: what"),
        ("{{ .Values.auth.password }}: a\n{{ .Values.auth.password }}: b", "what went wrong is not shown"),
        ("kind: {{ .Values.auth.password }}", "outside the data of a Secret"),
    ],
)
def test_a_failed_render_tells_its_place_and_no_value(renderer: Renderer, template: str, told: str) -> None:
    error = failed(renderer, chart(template))
    assert told in error.message and base64.b64encode(CLEAR[2].encode()).decode() not in error.told


NAMED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Values.auth.password | upper }}", annotations: {"helm.sh/hook": "%s"}}
data: {a: "%s"}
"""


@pytest.mark.parametrize(
    ("template", "reason"),
    [(NAMED % ("pre-install", "b"), "HooksRefused"), (NAMED % ("", "{{ randAlphaNum 9 }}"), "NonDeterministicChart")],
)
def test_an_object_named_by_a_value_is_not_told(renderer: Renderer, template: str, reason: str) -> None:
    error = failed(renderer, chart(template))
    assert (error.reason, error.message) == (reason, "what went wrong is not shown, because values are encrypted")
    assert CLEAR[2].upper() not in error.told


def test_what_is_wrong_with_the_chart_itself_is_told(renderer: Renderer) -> None:
    error = failed(renderer, chart(INTO_A_SECRET, version="2.0.0"))
    assert (error.reason, error.message) == ("ChartInvalid", "the chart is version 1.0.0, and not 2.0.0")


def test_what_is_encrypted_elsewhere_is_refused(renderer: Renderer) -> None:
    error = failed(renderer, chart(text("rotated").replace("${{", "").replace("}}", "")))
    assert (error.reason, error.message) == ("ObjectInvalid", "web/templates/a.yaml: is encrypted with SOPS")


def test_what_nobody_accepted_yet_gets_no_values_of_charts(folder: Path) -> None:
    """A template of a change request could turn a value into what its plan shows."""
    made = Renderer(1, keys=keys.of_reviews({SOURCE: str(folder)}))
    try:
        assert failed(made, chart(INTO_A_SECRET)).reason == keys.KEYS_ABSENT
        assert objects(made, layer("login"))
    finally:
        made.close()


SEARCH = """
import sys
from pathlib import Path
import msgspec
sys.path.insert(0, {root!r})
from reconciler.packs.worker import answer
from reconciler.packs import KINDS
from reconciler.packs.wire import Job
import importlib
seen = []
def look(event, given):
    if event == "shutil.rmtree":
        for one in Path(given[0]).rglob("*"):
            if one.is_file():
                seen.append(one.name)
                assert not any(word in one.read_bytes() for word in {words!r}), one
sys.addaudithook(look)
kinds = {{kind: importlib.import_module(module).render for kind, module in KINDS.items() if kind in ("helm", "manifests")}}
found = answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Job), kinds)
assert not found.reason, found.message
assert {words!r}[{which}] in bytes(found.objects)
print(len(seen))
"""


@pytest.mark.parametrize(("kind", "least"), [("manifests", 0), ("helm", 2)])
def test_the_clear_text_is_in_no_file(kind: str, least: int, tmp_path: Path) -> None:
    """Everything a render wrote is looked at just before it is removed, and what is left after it."""
    import msgspec

    from reconciler.packs.wire import Job

    one = layer("login") if kind == "manifests" else chart(INTO_A_SECRET)
    job = Job(
        kind, "web", dict(one.spec), {path: data.encode() for path, data in one.files}, dict(one.context), "v1.36.0",
        twice=True, authored=True, keys=keys.read(FILES / "old"),
    )  # fmt: skip
    words = [word.encode() for word in CLEAR]
    code = SEARCH.format(root=str(Path(__file__).parent.parent), words=words, which=0 if kind == "manifests" else 2)
    env = {"TMPDIR": str(tmp_path), "PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], input=msgspec.json.encode(job), env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) >= least
    assert not any(word in one.read_bytes() for one in tmp_path.rglob("*") if one.is_file() for word in words)


# In a pass


def test_a_plan_a_log_and_a_status_hold_no_value(renderer: Renderer, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet()
    fleet.renderer = renderer
    files = {"manifests": {"files": ["login.yaml"]}}
    values = {"helm": {"chart": {"path": "chart"}, "valuesFiles": ["v.yaml"]}}
    packs = ({"name": "app", "namespace": "web", **files}, {"name": "chart", "namespace": "web", **values})
    more = {
        "login.yaml": text(),
        "v.yaml": text("secret-values"),
        "chart/Chart.yaml": CHART,
        "chart/templates/a.yaml": INTO_A_SECRET.replace("name: login", "name: of-a-chart"),
    }
    fleet.push({"p.yaml": profile(*packs), "a.yaml": cluster("a", namespaces=[{"name": "web"}, {"name": "a"}]), **more})
    said = render_text.render(fleet.review(), Style(detail=True, creates=True))
    fleet.run()
    assert fleet.word("a") == "Ready", fleet.layer("a", "web/app").message + fleet.layer("a", "web/chart").message
    secret = fleet.nested["a"].get("", "Secret", "a", "login")
    assert base64.b64decode(secret["data"]["password"]).decode() == SAID[1]
    before = fleet.nested["a"].core.storage.version
    fleet.queue.add("a")
    fleet.run()
    assert fleet.nested["a"].core.storage.version == before
    out = capsys.readouterr()
    said += out.out + out.err + str(fleet.reporter.clusters) + str(fleet.host.objects("", "ConfigMap"))
    for word in CLEAR:
        assert word not in said and base64.b64encode(word.encode()).decode() not in said


def test_validate_warns_of_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text(
        profile({"name": "app", "namespace": "web", "manifests": {"files": ["login.yaml"]}})
    )
    (tmp_path / "a.yaml").write_text(cluster("a"))
    (tmp_path / "login.yaml").write_text(text())
    assert main(["validate", str(tmp_path)]) == 0
    assert "it is encrypted, and there are no keys here to read it" in capsys.readouterr().out


def test_the_controller_gives_each_source_its_own_keys(tmp_path: Path) -> None:
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: vcluster\nversion: 0.36.1\n")
    shutil.copytree(FILES / "old", tmp_path / "age")
    (tmp_path / "nidus.yaml").write_text(f"""\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  files: {tmp_path}
  sources:
    - {{name: {SOURCE}, url: /srv/a.git, decryption: {{keysFolder: {tmp_path}/age}}}}
    - {{name: other, url: /srv/b.git}}
  engine: {{versions: [{{version: 0.36.1, chart: {{path: {tmp_path}/chart}}}}]}}
""")
    loaded = settings.load(str(tmp_path / "nidus.yaml"))
    assert contents.folders(loaded) == {SOURCE: f"{tmp_path}/age"}
    for opened, charts in ((contents.renderer(loaded, None), True), (contents.review_renderer(loaded, None), False)):
        try:
            assert objects(opened, layer("login"))
            assert failed(opened, layer("login"), "other").reason == keys.KEYS_ABSENT
            if charts:
                assert objects(opened, chart(INTO_A_SECRET))
            else:
                assert failed(opened, chart(INTO_A_SECRET)).reason == keys.KEYS_ABSENT
        finally:
            opened.close()


# The folder of keys


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.agekey", "AGE-SECRET-KEY-1SHORT\n", "a.agekey, line 1, is no age key"),
        ("a.agekey", "# only a comment\n", "holds no key"),
        ("a.txt", (FILES / "old" / "old.agekey").read_text(), "holds no key"),
        ("a.agekey", "x" * (keys.BYTES + 1), "is larger than 64 KiB"),
        (".hidden.agekey", (FILES / "old" / "old.agekey").read_text(), "holds no key"),
    ],
)
def test_a_folder_that_is_not_understood_is_told_without_its_keys(
    name: str, data: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(data)
    with pytest.raises(Stalled) as error:
        keys.read(tmp_path)
    assert error.value.reason == "KeysUnreadable" and why in error.value.message and "SHORT" not in error.value.told


def test_a_pipe_among_the_keys_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.agekey")
    with pytest.raises(Stalled, match="is no file"):
        keys.read(tmp_path)
    with pytest.raises(Stalled, match="No such file"):
        keys.read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "the-secret"}}, ""),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "the-secret"}}, "metadata.name"),
        ({"apiVersion": "x/v1", "kind": "Secret", "data": {"a": "the-secret"}}, "data.a"),
        ({"kind": "List", "items": [{"kind": "ConfigMap", "data": {"the-secret": 1}}]}, "data"),
        ({"kind": "Pod", "spec": {"args": ["--a=the-secret-and-more"]}}, "spec.args[]"),
        ({"kind": "Pod", "spec": {"args": ["short"]}}, ""),
        *(
            ({"kind": "ConfigMap", "data": {"a": encode(f"{before}{value}{after}".encode()).decode()}}, "data.a")
            for value, encode in (
                ("the-secret", base64.b64encode),
                ("the-secret", base64.encodebytes),
                ("?>?\u00ff\u00fe>?", base64.urlsafe_b64encode),
            )
            for before in ("", ":", "a:")
            for after in ("", "\u00ff??")
        ),
        ({"kind": "ConfigMap", "data": {"a": base64.b64encode(b"the-Secret").decode()}}, ""),
    ],
)
def test_a_value_outside_of_secrets_is_found(document: Any, place: str) -> None:
    if not place:
        sealed.judge([("a", document)], ["the-secret", "short", "?>?\u00ff\u00fe>?"])
        return
    with pytest.raises(Stalled, match=rf"stands in {place.replace('[', '.').replace(']', '.')}, outside"):
        sealed.judge([("a", document)], ["the-secret", "short", "?>?\u00ff\u00fe>?"])
