"""Bad input loses nothing: every mistake is told with its place, what stands stays enforced, nothing is deleted (S3-S5, V4, AD2)."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from tests.host.field import Field, config_map, namespace, nested_cluster, profile

pytestmark = pytest.mark.host

HEAD = "apiVersion: nidus.dev/v1alpha1\n"
CLUSTER = HEAD + "kind: NestedCluster\n"
WRONG: dict[str, tuple[bytes, int]] = {  # file -> what it says, the line that is wrong (0: the file as a whole)
    "wrong/utf-16.yaml": ((CLUSTER + "metadata: {name: x}\n").encode("utf-16"), 1),
    "wrong/nul.yaml": (CLUSTER.encode() + b"metadata: {name: a\0b}\n", 3),
    "wrong/alias.yaml": ((CLUSTER + "metadata: &m {name: x1}\nspec: {description: *m}\n").encode(), 3),
    "wrong/twice.yaml": ((CLUSTER + "metadata: {name: x2}\nspec: {}\nspec: {}\n").encode(), 5),
    "wrong/python.yaml": ((CLUSTER + "metadata: {name: !!python/name:os.system x}\n").encode(), 3),
    "wrong/norway.yaml": ((CLUSTER + "metadata: {name: x3}\nspec:\n  description: no\n").encode(), 5),
    "wrong/deep.yaml": ((CLUSTER + "metadata: {name: x4}\nspec: " + "[" * 50000).encode(), 4),
    "wrong/field.yaml": ((CLUSTER + "metadata: {name: x5}\nspec:\n  quotas: {pods: 3}\n").encode(), 5),
    "wrong/kind.yaml": ((HEAD + "kind: ClusterProfil\nmetadata: {name: x6}\n").encode(), 2),
    "wrong/many.yaml": ((CLUSTER + "metadata: {name: x7}\nspec: {}\n---\n").encode() * 10000, 0),
    "wrong/large.yaml": (b"# nidus.dev/\n", 0),  # and what makes it too large
}


def standing(field: Field, *suffixes: str) -> list[str]:
    """Clusters with a profile each, in files of their own, Ready under a running controller."""
    field.write("profiles/web.yaml", profile("web", "1.0.0", [web()]))
    names = [field.cluster(suffix) for suffix in suffixes]
    for name, suffix in zip(names, suffixes, strict=True):
        field.write(
            f"clusters/{suffix}.yaml",
            nested_cluster(name, quota={"pods": 20}, profiles=[{"name": "web", "version": "1.0.0"}]),
        )
    field.push()
    field.start()
    for name in names:
        field.wait(name)
    return names


def web() -> dict[str, Any]:
    return {"name": "web", "manifests": {"objects": [namespace(), config_map("greeting", text="hello")]}}


def drift_is_corrected(field: Field, name: str) -> None:
    """Somebody widens the quota on the host; it is put back."""
    where = f"vcluster-{name}"
    quota = "nidus"
    before = pods(field, where, quota)
    body = {"spec": {"hard": {"pods": "999"}}}
    field.admin.patch("v1", "ResourceQuota", quota, where, body)
    field.until("the quota was put back", lambda: pods(field, where, quota) == before)


def pods(field: Field, where: str, quota: str) -> str:
    found = field.admin.get("v1", "ResourceQuota", quota, where)
    assert found
    return str(found["spec"]["hard"]["pods"])


def deletes(field: Field) -> list[str]:
    about = [event["objectRef"] for event in field.writes() if event["verb"] == "delete"]
    return [f"{ref['resource']}/{ref.get('name', '')}" for ref in about]


def write_bytes(field: Field, files: Mapping[str, tuple[bytes, int]]) -> None:
    for path, (data, _) in files.items():
        field.write(path, "")
        (field.stage.repository.work / path).write_bytes(data)


def test_wrong_files_are_told_and_lose_nothing(shared_field: Field) -> None:
    field = shared_field
    broken, sound = standing(field, "a", "b")
    write_bytes(field, WRONG)
    os.truncate(field.stage.repository.work / "wrong" / "large.yaml", 80 << 20)
    field.write("wrong/folder.yaml/inner.yaml", CLUSTER + "metadata: {name: UPPER}\nspec: {}\n")
    (field.stage.repository.work / "wrong" / "link.yaml").symlink_to("/etc/passwd")
    missing = profile("chartless", "1.0.0", [{"name": "x", "helm": {"chart": {"path": "nowhere"}, "releaseName": "x"}}])
    field.write("wrong/chartless.yaml", missing)
    unknown = [config_map("a", namespace="${{ cluster.name }}-web", text="${{ variables.nobody }}")]
    field.write("wrong/unknown.yaml", profile("unknown", "1.0.0", [{"name": "x", "manifests": {"objects": unknown}}]))
    field.write("clusters/a.yaml", {**nested_cluster(broken), "spec": {"quota": {"pods": "many"}}})
    commit = field.push("everything wrong at once")
    field.wait_read(commit)
    told: dict[str, list[dict[str, Any]]] = {}
    for one in field.controller.get("/api/v1/sources")["sources"][0]["violations"]:  # type: ignore[union-attr]
        told.setdefault(one["file"], []).append(one)
    special = {f"wrong/{name}" for name in ("folder.yaml/inner.yaml", "link.yaml", "chartless.yaml", "unknown.yaml")}
    assert told.keys() == WRONG.keys() | special | {"clusters/a.yaml"}
    assert {
        path: line for path, (_, line) in WRONG.items() if line and line not in {one["line"] for one in told[path]}
    } == {}
    assert [one["file"] for ones in told.values() for one in ones if not one["message"]] == []
    assert "passwd" not in str(told)
    field.wait(broken, "Invalid")
    assert "clusters/a.yaml:" in str(field.status(broken)["conditions"])
    field.wait(sound)
    for name in (broken, sound):
        drift_is_corrected(field, name)
    assert deletes(field) == []


@pytest.mark.long
def test_git_away_and_back(shared_field: Field) -> None:
    """What was accepted stays enforced without Git, after a restart too; then the newest commit is followed (S4, S8)."""
    field = shared_field
    (name,) = standing(field, "a")
    bare, aside = field.stage.repository.bare, field.stage.folder / "aside.git"
    bare.rename(aside)
    resync(field)
    field.until("the source says so", lambda: "RepositoryMissing" in field.source().get("error", ""))
    drift_is_corrected(field, name)
    assert field.controller
    field.controller.kill()
    field.start()
    assert "RepositoryMissing" in field.source()["error"]
    drift_is_corrected(field, name)
    field.wait(name)
    aside.rename(bare)
    field.write("profiles/web.yaml", profile("web", "1.0.0", [web() | {"name": "other"}]))
    commit = field.push("back again")
    field.wait_applied(name, commit)
    assert field.source()["error"] == ""
    assert deletes(field) == []


@pytest.mark.long
def test_without_git_and_mirror_a_cluster_is_held(shared_field: Field) -> None:
    """Disk lost and Git down: nothing is derived, nothing pruned, and it says so (S8)."""
    field = shared_field
    (name,) = standing(field, "a")
    assert field.controller
    field.controller.stop()
    field.stage.repository.bare.rename(field.stage.folder / "aside.git")
    field.start(NIDUS_DATA=str(field.stage.folder / "new-disk"))
    field.wait(name, "Held")
    assert "AcceptedUnreadable" in str(field.status(name)["conditions"]) or "can no longer be read" in str(
        field.status(name)
    )
    field.quiet()
    assert deletes(field) == []


@pytest.mark.long
def test_an_empty_repository_is_held(shared_field: Field) -> None:
    field = shared_field
    names = standing(field, "a", "b")
    shutil.rmtree(field.stage.repository.work / "clusters")
    shutil.rmtree(field.stage.repository.work / "profiles")
    commit = field.push("oops")
    field.wait_read(commit)
    held = field.until("the removals are held", lambda: field.source().get("held"))
    assert held["digest"]
    for name in names:
        field.until(f"{name} says so", lambda name=name: field.word(name) == "Held")
    drift_is_corrected(field, names[0])
    field.stage.repository.git("revert", "--no-edit", "HEAD")
    field.stage.repository.push()
    for name in names:
        field.wait(name)
    assert deletes(field) == []


@pytest.mark.long
def test_a_renamed_folder_changes_nothing(shared_field: Field) -> None:
    field = shared_field
    (name,) = standing(field, "a")
    field.quiet()
    since = field.account.audit.now()
    field.stage.repository.git("mv", "clusters", "teams")
    commit = field.push("tidied")
    field.wait_read(commit)
    field.quiet()
    about = {event["objectRef"]["resource"] for event in field.writes(since)}
    assert about <= {"sources", "nestedclusters", "configmaps"}, about
    field.wait(name)


@pytest.mark.long
def test_rewritten_history_is_held(shared_field: Field) -> None:
    """A forced push of another history that lacks a cluster deletes nothing; going back ends it (S5)."""
    field = shared_field
    kept, lost = standing(field, "a", "b")
    git = field.stage.repository.git
    before = git("rev-parse", "HEAD").strip()
    git("checkout", "--quiet", "--orphan", "other")
    git("rm", "-rq", "--cached", ".")
    field.remove("clusters/b.yaml")
    commit = field.stage.repository.commit("another history")
    field.stage.repository.push(force=True)
    field.wait_read(commit)
    held = field.until("it is held", lambda: field.source().get("held"))
    assert held["reason"] in ("HistoryRewritten", "RemovalBudget")
    field.quiet()
    assert field.word(kept) in ("Ready", "Held")
    drift_is_corrected(field, lost)
    git("checkout", "--quiet", "--force", before)
    field.stage.repository.push(force=True)
    field.wait(lost)
    field.wait(kept)
    assert deletes(field) == []


@pytest.mark.long
def test_a_missing_branch_or_path_is_told(shared_field: Field) -> None:
    field = shared_field
    (name,) = standing(field, "a")
    git = field.stage.repository.git
    git("push", "--quiet", "origin", "HEAD:refs/heads/other")
    bare = field.stage.repository.bare
    (bare / "HEAD").write_text("ref: refs/heads/other\n")
    git("push", "--quiet", "origin", "--delete", "main")
    resync(field)
    field.until("the source says so", lambda: "RefMissing" in field.source().get("error", ""))
    drift_is_corrected(field, name)
    assert deletes(field) == []


def resync(field: Field) -> None:
    """What `nidus sync` does while a controller runs."""
    import time

    metadata = {
        "name": "platform",
        "namespace": field.account.namespace,
        "annotations": {"nidus.dev/resync": str(time.time_ns())},
    }
    body = {"apiVersion": "nidus.dev/v1alpha1", "kind": "Source", "metadata": metadata}
    field.admin.apply(body, manager="a-human")
