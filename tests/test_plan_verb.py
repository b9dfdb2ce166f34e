"""`nidus plan` as people use it: a work tree of Git, a server in memory on a real socket, exit codes and what is printed."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

import schemas
from reconciler.__main__ import main
from reconciler.inventory import salt
from reconciler.inventory.store import State, Store
from reconciler.model import Record
from tests import installed
from tests.documents import cluster, config_map, pack, profile
from tests.house.documents import ROOT
from tests.memory.http import Front
from tests.memory.server import Server
from tests.repository import CHART
from tests.shell import client
from tests.test_source_mirror import Work
from tests.test_wrong_targets import config

NAMESPACE = "nidus-system"
FILES = {"a.yaml": cluster("team-a"), "web.yaml": profile(pack("base", config_map("one")))}
BROKEN = {
    "charts/c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    "charts/c/templates/a.yaml": 'kind: {{ required "a size is needed" .Values.size }}\n',
    "web.yaml": profile(
        pack("base", config_map("one")), {"name": "chart", "namespace": "web", "helm": {"chart": {"path": "charts/c"}}}
    ),
}


@pytest.fixture
def server() -> Server:
    made = Server()
    made.brief = True
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for one in installed.kinds():
        made.put(one)
    salt.salt(client(made), NAMESPACE)
    return made


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit(FILES)
    return made


class Told:
    """What the verb prints, and its exit code."""

    def __init__(self, flags: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.flags, self.folder, self.capsys = flags, str(folder), capsys

    def __call__(self, *words: str, folder: str | None = None) -> tuple[int, str, str]:
        code = main(["plan", *([self.folder] if folder is None else [folder] if folder else []), *words, *self.flags])
        return code, *self.capsys.readouterr()


@pytest.fixture
def plan(
    server: Server, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Told]:
    monkeypatch.setenv("NIDUS_ENGINE_CHART", str(CHART))
    with Front(server) as front:
        file = tmp_path / "kubeconfig"
        file.write_text(json.dumps(config(front.url, token="t")))
        yield Told(["--kubeconfig", str(file)], work.folder, capsys)


def recorded(server: Server, work: Work, source: str = "platform") -> None:
    """The cluster belongs to a source that accepted the newest commit."""
    commit = work.git("rev-parse", "HEAD")
    record = Record(source, "team-a", "local", "a.yaml", "main", commit, {}, "0a1b2c3d", 1.0)
    Store(client(server), NAMESPACE).write(State(record))


def test_a_new_cluster_is_planned_and_its_inside_comes_later(plan: Told) -> None:
    code, out, _ = plan()
    assert code == 0
    assert "Namespace/vcluster-team-a" in out
    assert out.splitlines()[-1].endswith("2 layers known after the control plane is up")
    assert "fields" not in out and "pod-security" not in out
    assert plan("--detailed-exitcode")[0] == 2


def test_the_fields_of_creates_are_shown_where_asked_for(plan: Told) -> None:
    _, out, _ = plan("--show", "create", "--layer", "namespace")
    assert 'metadata.labels."pod-security.kubernetes.io/enforce": baseline' in out
    assert "policies on local" not in out


def test_clusters_of_another_source_are_not_looked_at(plan: Told, server: Server, work: Work) -> None:
    recorded(server, work)
    code, out, _ = plan()
    assert code == 1
    assert "not looked at: team-a belongs to source platform: --source names it" in out
    assert out.splitlines()[-1] == "Plan (incomplete): 1 cluster not looked at: team-a"
    code, out, _ = plan("--source", "platform")
    assert code == 0 and out.startswith("platform main@sha1:") and "Namespace/vcluster-team-a" in out


def test_a_commit_that_is_not_here_is_no_plan_without_changes(plan: Told, server: Server, work: Work) -> None:
    recorded(server, work)
    work.git("checkout", "-q", "--orphan", "fresh")
    work.commit({"b.yaml": cluster("team-b")}, gone=("a.yaml",))
    work.git("branch", "-q", "-D", "main")
    work.git("reflog", "expire", "--expire=now", "--all")
    work.git("gc", "-q", "--prune=now")
    code, out, _ = plan("--source", "platform")
    assert code == 1
    assert "not looked at: its accepted commit is not in this repository: git fetch" in out
    assert out.splitlines()[-1].endswith("1 cluster not looked at: team-a")


def test_a_template_that_fails_is_a_failure_with_its_place(plan: Told, work: Work) -> None:
    work.commit(BROKEN)
    code, out, _ = plan()
    assert code == 1
    assert "web/chart  (RenderFailed: " in out and "a size is needed" in out and "templates/a.yaml" in out
    assert out.splitlines()[-1].startswith("Plan (incomplete): ")
    found = json.loads(plan("-o", "json")[1])
    (unknown,) = [one for one in found["clusters"][0]["unknown"] if one["layer"] == "web/chart"]
    assert not unknown["later"] and unknown["reason"].startswith("RenderFailed: ")


def test_a_field_that_kubernetes_does_not_have_is_warned_of(plan: Told, work: Work) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  port: [{port: 80}]\n"
    work.commit({"web.yaml": profile(pack("base", manifests={"files": ["service.yaml"]})), "service.yaml": text})
    code, _, err = plan()
    told = "Service web: unknown field spec.port"
    assert code == 0 and f"service.yaml:5:3: warning: {told}; did you mean ports?\n" in err
    assert told in plan("-o", "markdown")[1]
    found = json.loads(plan("-o", "json")[1])
    assert [(one["code"], one["line"], one["column"]) for one in found["warnings"]] == [("NID198", 5, 3)]
    assert "warning" not in plan("--base", "HEAD")[2]


def test_an_encrypted_pack_is_left_out_in_one_line_with_what_to_do(plan: Told, work: Work) -> None:
    secret = (ROOT / "tests" / "sops" / "login.yaml").read_text()
    packs = (pack("base", config_map("one")), {"name": "login", "manifests": {"files": ["login.yaml"]}})
    work.commit({"web.yaml": profile(*packs), "login.yaml": secret})
    code, out, _ = plan("--detail")  # in full width
    (told,) = [line for line in out.splitlines() if "DecryptionKeysAbsent" in line]
    assert told.startswith("    ? web/login  (") and told.endswith(
        "the plan in the pull request shows this pack (nidus plan --change N))"
    )
    assert code == 1 and out.splitlines()[-1].startswith("Plan (incomplete): ") and "1 layer unknown" in out
    assert "web/base" in out and "sops" not in out.replace("login.yaml", "")


def test_a_commit_is_planned_instead_of_the_files(plan: Told, work: Work) -> None:
    (work.folder / "b.yaml").write_text(cluster("team-b"))
    assert "team-b" in plan()[1]
    code, out, _ = plan("--revision", "HEAD")
    assert code == 0 and "team-b" not in out
    assert out.startswith(f"work HEAD@sha1:{work.git('rev-parse', 'HEAD')[:7]} compared")
    for name in ("nowhere", "--output=x", "a b\x1b"):
        code, out, err = plan(f"--revision={name}")
        assert (code, out) == (64, "") and err.startswith("error: no revision ") and "\x1b" not in err


def test_one_cluster_is_shown_by_its_name(plan: Told, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.commit({"b.yaml": cluster("team-b")})
    code, out, _ = plan("team-b")
    assert code == 0 and "team-a" not in out and "1 cluster more with changes: not shown" in out
    monkeypatch.chdir(work.folder)
    assert plan("team-b", folder="")[1].splitlines()[1:] == out.splitlines()[1:]
    assert plan("team-c")[2] == "error: no cluster team-c\n  hint: did you mean team-b?\n"
    assert plan("--layer", "web/bse")[2] == "error: no layer web/bse\n  hint: did you mean web/base?\n"
    assert plan(folder="./nowhere")[2].startswith("error: there is no folder ./nowhere\n")
    assert plan(folder="")[0] == 0


def test_a_cluster_of_another_source_is_no_plan_without_changes(plan: Told, server: Server, work: Work) -> None:
    recorded(server, work)
    work.commit({"b.yaml": cluster("team-b")}, gone=("a.yaml",))
    assert plan("team-b")[0] == 0
    for words in (("team-a",), ("team-a", "--layer", "web/base")):
        code, out, _ = plan(*words)
        assert code == 1 and "not looked at: it does not belong to source work, or its removal is over" in out
    assert plan("team-b", "--layer", "web/bse")[0] == 1


def test_programs_get_json_and_yaml(plan: Told) -> None:
    found = json.loads(plan("-o", "json")[1])
    jsonschema.validate(found, schemas.load("Plan"))
    made = next(one for one in found["clusters"][0]["changes"] if one["object"]["kind"] == "Namespace")
    assert {"path": 'metadata.labels."pod-security.kubernetes.io/enforce"', "after": "baseline"} in made["fields"]
    other = yaml.safe_load(plan("-o", "yaml")[1])
    for one in (found, other):
        del one["at"]
    assert [key for key in found if found[key] != other[key]] == []
    assert json.dumps(found, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_mistakes_are_in_every_form(plan: Told, work: Work) -> None:
    work.commit({"b.yaml": cluster("Team_B")})
    code, out, err = plan()
    assert code == 1 and "b.yaml:1:" in err and "1 mistake in documents" in out.splitlines()[-1]
    assert [one["path"] for one in json.loads(plan("-o", "json")[1])["violations"]] == ["b.yaml"]
    assert "1 mistake in documents</summary>" in plan("-o", "markdown")[1]


def test_without_a_configuration_it_is_said_whose_ceilings_are_meant(plan: Told, work: Work) -> None:
    work.commit({"b.yaml": cluster("b", scheduling={"nodeSelector": {"pool": "tenants"}})})
    code, out, err = plan()
    assert code == 1 and "ceilings.nodeSelectors" in err
    assert "note: without --config the rules are those of `nidus run --repo`" in out
    work.commit({"b.yaml": cluster("Team_B")})
    assert "note: without --config" not in plan()[1]


def test_a_source_that_is_none_is_named_with_those_there_are(plan: Told, tmp_path: Path) -> None:
    file = tmp_path / "nidus.yaml"
    sources = [{"name": name, "url": f"https://git.example/{name}.git"} for name in ("one", "two")]
    engine = {"versions": [{"version": "0.36.1", "chart": {"path": str(CHART)}}]}
    spec = {"sources": sources, "engine": engine}
    body = {"apiVersion": "nidus.dev/v1alpha1", "kind": "ControllerConfig", "spec": spec}
    file.write_text(json.dumps(body))
    assert plan("--config", str(file), "--source", "three")[::2] == (
        1,
        f"error: {file} has no source three\n  hint: --source takes one of: one, two\n",
    )
    assert plan("--config", str(file))[::2] == (
        64,
        f"error: {file} has several sources\n  hint: --source takes one of: one, two\n",
    )


def test_a_folder_without_documents_is_said(plan: Told, work: Work) -> None:
    work.commit({}, gone=("a.yaml", "web.yaml"))
    code, out, _ = plan()
    assert code == 0 and "note: there is no NestedCluster in " in out and "outside of it" not in out


def test_a_cluster_with_a_mistake_is_no_absence(plan: Told, work: Work) -> None:
    work.commit({"a.yaml": cluster("team-a", profiles=[{"name": "wbe", "version": "1.0.0"}])})
    for words in ((), ("team-a",)):
        code, out, _ = plan(*words)
        assert code == 1 and f"note: every NestedCluster in {work.folder} has mistakes\n" in out
        assert out.splitlines()[-1].endswith("1 cluster not looked at: team-a")


def test_a_part_of_a_repository_is_said_with_what_to_plan_instead(
    plan: Told, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.commit({"clusters/a.yaml": FILES["a.yaml"], "docs/b.yaml": "a: b"}, gone=("a.yaml",))
    for name in ("clusters", "docs"):
        folder = f"{work.folder}/{name}"
        told = f"{folder} is one folder of a repository, and what lies outside of it is not read"
        assert f"note: {told}: nidus plan {work.folder}\n" in plan(folder=folder)[1]
        main(["validate", folder, "--no-render"])
        assert f"warning: {told}\n    fix: nidus validate {work.folder}\n" in capsys.readouterr().out
    assert "outside of it" not in plan()[1]


# Against another revision


TWO = {"a.yaml": cluster("team-a"), "b.yaml": cluster("team-b", profiles=[]), "web.yaml": FILES["web.yaml"]}
MORE = {"web.yaml": profile(pack("base", config_map("one", colour="blue"), config_map("two")))}


@pytest.fixture
def branched(work: Work) -> Work:
    """A branch that changes a profile; the branch it left has gone on meanwhile."""
    work.commit(TWO)
    work.git("checkout", "-q", "-b", "feature")
    work.commit(MORE)
    work.git("checkout", "-q", "main")
    work.commit({"b.yaml": cluster("team-b", profiles=[], namespaces=[{"name": "more"}])})
    work.git("checkout", "-q", "feature")
    return work


def test_only_what_differs_from_the_base_is_planned(plan: Told, branched: Work) -> None:
    code, out, _ = plan("--base", "main", "--detailed-exitcode")
    assert code == 2 and "Namespace/vcluster-team-a" in out and "team-b" not in out
    assert "note: only what differs from main at " in out
    assert "team-b" in plan("--base", "main", "--all")[1]
    assert plan("--base", "feature", "--detailed-exitcode")[0] == 0


def test_a_base_that_is_none_is_a_wrong_flag(plan: Told, branched: Work) -> None:
    assert plan("--base", "nowhere")[0] == 64
    branched.git("checkout", "-q", "--orphan", "other")
    branched.commit({"c.yaml": cluster("team-c")})
    code, _, err = plan("--base", "main")
    assert code == 64 and "no commit in common" in err


@pytest.fixture
def alone(work: Work, capsys: pytest.CaptureFixture[str]) -> Told:
    """The verb with no cluster in reach."""
    return Told(["--offline"], work.folder, capsys)


def test_two_revisions_are_compared_without_a_cluster(alone: Told, branched: Work) -> None:
    code, out, _ = alone("--base", "main", "--detailed-exitcode")
    assert code == 2, out
    assert "ConfigMap/web/two" in out and "(none) -> blue" in out and "team-b" not in out
    assert "compared with another revision\n" in out and "note: offline: compared with main at " in out
    assert out.splitlines()[-1] == "Plan: 1 to create, 1 to configure, 0 to delete"
    assert alone("--base", "feature", "--detailed-exitcode")[0] == 0
    code, out, _ = alone("--base", "main", "-o", "json")
    assert code == 0
    jsonschema.validate(json.loads(out), schemas.load("Plan"))


def test_what_another_revision_had_is_a_deletion_offline(alone: Told, branched: Work) -> None:
    branched.commit({"web.yaml": profile(pack("base", config_map("two")))})
    _, out, _ = alone("--base", "main")
    assert "- ConfigMap/web/one" in out and out.splitlines()[-1] == "Plan: 1 to create, 0 to configure, 1 to delete"
    branched.commit({}, gone=("a.yaml",))
    assert "ConfigMap/web/one" in alone("--base", "main")[1]


def test_what_cannot_be_rendered_fails_offline(alone: Told, branched: Work) -> None:
    branched.commit(BROKEN)
    code, out, _ = alone("--base", "main")
    assert code == 1 and "a size is needed" in out


def test_values_of_secrets_are_hashed_offline(alone: Told, branched: Work) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque"}
    branched.git("checkout", "-q", "main")
    branched.commit({"charts/s/Chart.yaml": "apiVersion: v2\nname: s\nversion: 1.0.0\n"})
    chart = {"name": "s", "namespace": "web", "helm": {"chart": {"path": "charts/s"}}}
    for value in ("canary-old", "canary-new"):
        text = json.dumps({**secret, "stringData": {"password": value}})
        branched.commit({"charts/s/templates/s.yaml": text, "web.yaml": profile(chart)})
    code, out, _ = alone("--base", "HEAD~1", "--detail")
    assert code == 0 and "Secret/web/s" in out and "canary" not in out


def test_offline_needs_a_base(alone: Told, branched: Work) -> None:
    code, _, err = alone()
    assert code == 64 and "--base" in err
