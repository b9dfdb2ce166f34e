"""What a pack reads becomes unreadable: the profile is broken, what was accepted stays, and the file is named (S3, V4).

Each way to become unreadable is tried on each kind of use, from the listing of the tree to the bundle of an accepted cluster.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from reconciler import fleet
from reconciler.model import Content, Limits, Record, Revision, Rollout, Snapshot, Tree, replace
from reconciler.source import trees
from reconciler.spec import load, resolve
from tests.fleets import NOW, OLD, record
from tests.spec_cases import FACTS, FILES
from tests.spec_cases import RULES as STRICT

LIMITS = Limits(file="4Ki")
RULES = replace(
    STRICT, profile_versions="Mutable"
)  # else every change of a version in use is refused, for another reason
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
PROFILE, CLUSTER = "profile/web@1.2.0", "cluster/team-a"


@dataclass(frozen=True)
class File:
    """One entry of a tree, as Git keeps it."""

    data: bytes = b""
    mode: bytes = b"100644"


Files = Mapping[str, File]
Way = Callable[[Files, str], dict[str, File]]

GOOD: Files = {
    **{path: File(text.encode()) for path, text in FILES.items()},
    "profiles/web.yaml": File(
        FILES["profiles/web.yaml"]
        .replace("[front.yaml]", "[front.yaml, ../charts/front/ci.yaml]")
        .replace('["web/*.yaml"]', '["web/*.yaml", "deep/**/*.yaml", one/only.yaml]')
        .encode()
    ),
    "profiles/deep/a/b.yaml": File(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deep}\n"),
    "profiles/one/only.yaml": File(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: only}\n"),
    "charts/front/values.yaml": File(b"replicas: 1\n"),
    "charts/front/ci.yaml": File(b"replicas: 2\n"),
    "charts/front/crds/c.yaml": File(b"kind: CustomResourceDefinition\n"),
    "charts/front/files/app.json": File(b"{}"),
    "charts/front/charts/sub/Chart.yaml": File(b"name: sub\nversion: 1.0.0\n"),
    "charts/front/charts/sub/templates/s.yaml": File(b"kind: ConfigMap\n"),
    "charts/front/charts/packed-1.0.0.tgz": File(b"packed"),
}


def a_link(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(b"../elsewhere", b"120000")}


def a_submodule(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(b"1" * 40, b"160000")}


def too_large(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(files[path].data + b"#" * 5000)}


def an_odd_mode(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(files[path].data, b"100600")}


def an_lfs_pointer(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(POINTER)}


def not_text(files: Files, path: str) -> dict[str, File]:
    return {**files, path: File(b"\xff\xfe\x00")}


def _without(files: Files, folder: str) -> dict[str, File]:
    return {path: file for path, file in files.items() if not path.startswith(f"{folder}/")}


def its_folder_a_link(files: Files, path: str) -> dict[str, File]:
    folder = path.rpartition("/")[0]
    return a_link(_without(files, folder), folder)


def its_folder_a_submodule(files: Files, path: str) -> dict[str, File]:
    folder = path.rpartition("/")[0]
    return a_submodule(_without(files, folder), folder)


FILE_WAYS: tuple[Way, ...] = (a_link, a_submodule, too_large, an_odd_mode, an_lfs_pointer)
FOLDER_WAYS: tuple[Way, ...] = (its_folder_a_link, its_folder_a_submodule)
USES = (
    "profiles/one/only.yaml",
    "profiles/web/config.yaml",
    "profiles/deep/a/b.yaml",
    "profiles/front.yaml",
    "charts/front/Chart.yaml",
    "charts/front/values.yaml",
    "charts/front/ci.yaml",
    "charts/front/templates/a.yaml",
    "charts/front/crds/c.yaml",
    "charts/front/files/app.json",
    "charts/front/charts/sub/Chart.yaml",
    "charts/front/charts/sub/templates/s.yaml",
    "charts/front/charts/packed-1.0.0.tgz",
    "profiles/web.yaml",
)


def oid(file: File) -> str:
    return hashlib.sha1(file.mode + file.data).hexdigest()


def tree_of(files: Files, limits: Limits = LIMITS) -> Tree:
    """The tree as the mirror reads it from Git's listing."""
    entries = [
        trees.Entry(
            file.mode, b"commit" if file.mode == b"160000" else b"blob", oid(file), len(file.data), path.encode()
        )
        for path, file in sorted(files.items())
    ]
    return trees.tree("t", entries, trees.bounds(limits))


def read(
    files: Files,
    before: Snapshot | None = None,
    known: load.Known = load.NOTHING,
    records: Mapping[str, Record] | None = None,
    limits: Limits = LIMITS,
) -> tuple[Snapshot, load.Known]:
    """The snapshot of these files, after `before` was accepted; only what is wanted is handed over."""
    tree, blobs = tree_of(files, limits), {oid(file): file.data for file in files.values()}
    accepted = {name: Content(OLD, before.specs) for name in before.specs.clusters} if before else {}
    return load.load(
        "platform",
        Revision("main", "c"),
        tree,
        {one: blobs[one] for one in load.wanted(tree, known)},
        known,
        RULES,
        FACTS,
        limits,
        accepted=fleet.documents(accepted),
        origins=fleet.profiles(accepted),
        in_use=fleet.in_use((records or {}).values(), "platform"),
    )


def admitted(files: Files, *, remembers: bool) -> tuple[Snapshot, Snapshot, Rollout]:
    """(accepted, new, rollout) of `files` pushed after GOOD; `remembers`: whether the process that read GOOD still runs."""
    before, known = read(GOOD)
    assert before.violations == ()
    content = Content(OLD, before.specs)
    records = {"team-a": record("team-a", digests=resolve.digests("team-a", content))}
    new, _ = read(files, before, known if remembers else load.NOTHING, records)
    return before, new, fleet.admit(new, {"team-a": content}, records, (), RULES, NOW)


def stands(before: Snapshot, rollout: Rollout) -> None:
    """The accepted cluster keeps the very bundle it has, and nothing is removed."""
    assert not rollout.tombstones
    content = Content(OLD, before.specs)
    assert resolve.bundle("team-a", rollout.admitted["team-a"], RULES, FACTS) == resolve.bundle(
        "team-a", content, RULES, FACTS
    )


def names(found: Snapshot, subject: str, *paths: str) -> None:
    """A violation with this subject stands at one of these places and says what to do; the cluster is told too."""
    told = [one for one in found.violations if one.subject == subject]
    assert [one for one in told if one.path in paths], found.violations
    assert all(one.message for one in told)
    assert [one for one in found.violations if one.subject == CLUSTER]


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("path", USES)
@pytest.mark.parametrize("way", FILE_WAYS)
def test_a_file_that_becomes_unreadable_breaks_its_profile(way: Way, path: str, remembers: bool) -> None:
    before, new, rollout = admitted(way(GOOD, path), remembers=remembers)
    stands(before, rollout)
    names(new, PROFILE, path)


@pytest.mark.parametrize("path", USES)
@pytest.mark.parametrize("way", FOLDER_WAYS)
def test_a_folder_that_becomes_unreadable_breaks_its_profile(way: Way, path: str) -> None:
    before, new, rollout = admitted(way(GOOD, path), remembers=True)
    stands(before, rollout)
    names(new, PROFILE, path, path.rpartition("/")[0])


@pytest.mark.parametrize("way", [*FILE_WAYS, *FOLDER_WAYS])
def test_a_cluster_file_that_becomes_unreadable_stays_as_accepted(way: Way) -> None:
    before, new, rollout = admitted(way(GOOD, "clusters/team-a.yaml"), remembers=True)
    stands(before, rollout)
    names(new, CLUSTER, "clusters/team-a.yaml", "clusters")


@pytest.mark.parametrize("name", ["a\nb.yaml", "-x.yaml", "e\u0301.yaml", "\x1b[31m.yaml", "x" * 510 + ".yaml"])
@pytest.mark.parametrize("place", ["profiles/web", "profiles/deep/a", "charts/front/templates", "charts/front/files"])
def test_an_odd_name_among_used_files_breaks_their_profile(place: str, name: str) -> None:
    moved = {path: file for path, file in GOOD.items() if path.rpartition("/")[0] != place}
    before, new, rollout = admitted({**moved, f"{place}/{name}": File(b"kind: x\n")}, remembers=True)
    stands(before, rollout)
    assert [one for one in new.violations if one.subject == PROFILE and one.path.startswith(f"{place}/")]


def test_a_glob_of_one_sign_means_a_name_of_one_odd_sign_too() -> None:
    profile = GOOD["profiles/web.yaml"].data.replace(b"one/only.yaml", b"one/?nly.yaml")
    files = {**GOOD, "profiles/web.yaml": File(profile), "profiles/one/\x07nly.yaml": File(b"x")}
    del files["profiles/one/only.yaml"]
    found, _ = read(files)
    assert [one for one in found.violations if one.subject == PROFILE and one.code == "NID012"]


@pytest.mark.parametrize(
    "folder",
    ["charts/front/templates", "charts/front/crds", "charts/front/charts", "charts/front/charts/sub/templates"],
)
def test_a_folder_of_a_chart_that_became_a_file(folder: str) -> None:
    """So Git keeps a link that was made where the file system knows none."""
    before, new, rollout = admitted({**_without(GOOD, folder), folder: File(b"../other")}, remembers=True)
    stands(before, rollout)
    names(new, PROFILE, folder)


@pytest.mark.parametrize("gone", ["charts/front/Chart.yaml", "charts/front/charts/sub/Chart.yaml"])
def test_a_chart_whose_chart_yaml_vanished(gone: str) -> None:
    before, new, rollout = admitted({path: file for path, file in GOOD.items() if path != gone}, remembers=True)
    stands(before, rollout)
    told = [one for one in new.violations if one.subject == PROFILE]
    assert told and gone.rpartition("/")[0] in told[0].message


@pytest.mark.parametrize("gone", ["profiles/one/only.yaml", "profiles/front.yaml", "charts/front/ci.yaml"])
def test_a_named_file_that_vanished(gone: str) -> None:
    before, new, rollout = admitted({path: file for path, file in GOOD.items() if path != gone}, remembers=True)
    stands(before, rollout)
    assert [one for one in new.violations if one.subject == PROFILE and gone.rpartition("/")[2] in one.message]


@pytest.mark.parametrize("chart", ["Chart.yaml", "clusters/Chart.yaml"])
def test_a_chart_around_a_cluster_file_removes_no_cluster(chart: str) -> None:
    before, new, rollout = admitted({**GOOD, chart: File(b"name: x\nversion: 1.0.0\n")}, remembers=True)
    stands(before, rollout)
    names(new, CLUSTER, "clusters/team-a.yaml")


@pytest.mark.parametrize("way", [a_link, a_submodule, too_large, an_lfs_pointer, its_folder_a_link])
def test_a_cluster_never_falls_back_to_an_older_version_of_a_profile_that_cannot_be_read(way: Way) -> None:
    newer = GOOD["profiles/web.yaml"].data.replace(b"1.2.0", b"1.2.1")
    beside = {path.replace("profiles/", "new/"): file for path, file in GOOD.items() if path.startswith("profiles/")}
    with_newer = {**GOOD, **beside, "new/web.yaml": File(newer)}
    before, _ = read(with_newer)
    assert before.violations == ()
    content = Content(OLD, before.specs)
    records = {"team-a": record("team-a", digests=resolve.digests("team-a", content))}
    new, _ = read(way(with_newer, "new/web.yaml"), before, load.NOTHING, records)
    rollout = fleet.admit(new, {"team-a": content}, records, (), RULES, NOW)
    stands(before, rollout)
    assert [one for one in new.violations if one.subject == "profile/web@1.2.1"]


UNUSED: Files = {
    "picture.png": File(b"#" * 9000),
    "services/loop": File(b"../services", b"120000"),
    "services/passwd": File(b"/etc/passwd", b"120000"),
    "vendor/x": File(b"1" * 40, b"160000"),
    "services/lfs.yaml": File(POINTER),
    "services/big.json": File(b"#" * 9000),
    "services/a\nb.txt": File(b"x"),
    "charts/other/Chart.yaml": File(b"name: other\nversion: 1.0.0\n"),
    "charts/other/templates/l.yaml": File(b"../x", b"120000"),
    "charts/other/big.yaml": File(b"#" * 9000),
    "profiles/web/picture.png": File(b"#" * 9000),
    "profiles/web/link": File(b"x", b"120000"),
}


def test_what_nobody_uses_fails_nothing() -> None:
    before, new, rollout = admitted({**GOOD, **UNUSED}, remembers=True)
    assert new.violations == ()
    assert resolve.bundle("team-a", rollout.admitted["team-a"], RULES, FACTS).digest == (
        resolve.bundle("team-a", Content(OLD, before.specs), RULES, FACTS).digest
    )


@pytest.mark.parametrize("way", [a_link, a_submodule])
def test_what_may_hide_the_file_of_a_missing_cluster_holds_its_removal(way: Way) -> None:
    """Its accepted content is not known any more, so nobody can say the file by name."""
    records = {"team-a": record("team-a")}
    new, _ = read(way(_without(GOOD, "clusters"), "clusters"))
    rollout = fleet.admit(new, {}, records, (), RULES, NOW)
    assert not rollout.tombstones and rollout.held["team-a"]


def test_a_lower_limit_breaks_what_it_forbids_and_prunes_nothing() -> None:
    before, known = read(GOOD)
    content = Content(OLD, before.specs)
    records = {"team-a": record("team-a", digests=resolve.digests("team-a", content))}
    big = {**GOOD, "charts/front/templates/a.yaml": File(b"#" * 3000)}
    new, _ = read(big, before, known, records, Limits(file="2Ki"))
    stands(before, fleet.admit(new, {"team-a": content}, records, (), RULES, NOW))
    (told,) = [one for one in new.violations if one.subject == PROFILE]
    assert (told.path, told.code) == ("charts/front/templates/a.yaml", "NID014") and "limits.file" in told.hint
