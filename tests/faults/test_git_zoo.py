"""Hostile repositories, made with git's plumbing: each is refused or reported by name; nothing of it runs or hangs (S1, appendix C)."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled
from reconciler.model import Limits, SourceConfig, Tree
from reconciler.source.mirror import Mirror
from tests.test_source_mirror import ENV, Work

Entry = tuple[str, bytes, str]


class Zoo(Work):
    """A repository whose trees are written byte by byte."""

    def blob(self, data: bytes = b"x") -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=data)

    def tree(self, *entries: Entry) -> str:
        """A tree object of exactly these (mode, name, oid) entries, in this order, however wrong."""
        data = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(oid)) for mode, name, oid in entries)
        return self.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=data)

    def publish(self, *entries: Entry) -> str:
        commit = self.git("commit-tree", "-m", "x", self.tree(*entries))
        self.git("update-ref", "refs/heads/main", commit)
        return commit


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return Zoo(tmp_path / "zoo")


@pytest.fixture
def opened(zoo: Zoo, tmp_path: Path) -> Iterator[Callable[..., Mirror]]:
    mirrors: list[Mirror] = []

    def open_(**limits: object) -> Mirror:
        source = SourceConfig(name="s", url=str(zoo.folder))
        given = Limits(**limits)  # type: ignore[arg-type]
        mirrors.append(Mirror.open(source, tmp_path / f"m{len(mirrors)}", deadline=30, limits=given))
        return mirrors[-1]

    yield open_
    for mirror in mirrors:
        mirror.close()


def fetched(mirror: Mirror) -> Tree:
    return mirror.tree(mirror.fetch().commit)


@pytest.mark.parametrize(
    ("mode", "name", "code"),
    [
        ("120000", b"link.yaml", "NID010"), ("160000", b"module", "NID011"),
        ("100644", b"a\nb.yaml", "NID012"), ("100644", b"-rf.yaml", "NID012"), ("100644", b"\xff\xfe.yaml", "NID012"),
        ("100644", b"a\\b.yaml", "NID012"), ("100644", "e\u0301.yaml".encode(), "NID012"), ("100644", b"\x1b[31m", "NID012"),
        ("100644", "\u202egnp.yaml".encode(), "NID012"), ("100644", b"n" * 513, "NID015"), ("120000", b"-l", "NID012"),
    ],
)  # fmt: skip
def test_an_entry_that_may_not_be_read_is_reported_and_its_siblings_are_read(
    zoo: Zoo, opened: Callable[..., Mirror], mode: str, name: bytes, code: str
) -> None:
    good = zoo.blob(b"good")
    oid = "1" * 40 if mode == "160000" else zoo.blob(b"/etc/passwd")
    zoo.publish(*sorted([(mode, name, oid), ("100644", b"good.yaml", good)], key=lambda entry: entry[1]))
    mirror = opened()
    tree = fetched(mirror)
    assert tree.files == {"good.yaml": good}
    (violation,) = tree.violations
    assert violation.code == code
    assert violation.path.isprintable()
    assert violation.hint
    assert mirror.read([good]) == {good: b"good"}


def test_the_group_writable_mode_of_old_repositories_is_a_file(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    zoo.publish(("100664", b"a.yaml", zoo.blob()), ("100755", b"b.yaml", zoo.blob()))
    assert sorted(fetched(opened()).files) == ["a.yaml", "b.yaml"]


def test_names_that_are_fine(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    names = [
        "a.yaml",
        "b c.yaml",
        ".gitattributes",
        "é.yaml",
        "日本.yaml",
        "a@b+c=d,e.yaml",
        "UPPER.yaml",
        "upper.yaml",
        "$(x).yaml",
    ]
    oid = zoo.blob()
    zoo.publish(*sorted([("100644", name.encode(), oid) for name in names], key=lambda entry: entry[1]))
    tree = fetched(opened())
    assert sorted(tree.files) == sorted(names)
    assert tree.violations == ()


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/b", b"", b"git~1"])
def test_trees_that_lie_about_paths_are_refused_whole(zoo: Zoo, opened: Callable[..., Mirror], name: bytes) -> None:
    zoo.publish(("100644", name, zoo.blob()))
    mirror = opened()
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "BadObjects"
    assert mirror.head() is None


def test_duplicate_and_unsorted_entries_are_refused(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    a, b = zoo.blob(b"a"), zoo.blob(b"b")
    for entries in ([("100644", b"a", a), ("100644", b"a", b)], [("100644", b"b", a), ("100644", b"a", b)]):
        zoo.publish(*entries)
        with pytest.raises(Stalled) as caught:
            opened().fetch()
        assert caught.value.reason == "BadObjects"


@pytest.mark.parametrize("wrong", ["missing", "tree", "commit"])
def test_entries_that_are_not_the_object_they_say(zoo: Zoo, opened: Callable[..., Mirror], wrong: str) -> None:
    empty = zoo.tree()
    oid = {"missing": "2" * 40, "tree": empty, "commit": zoo.git("commit-tree", "-m", "x", empty)}[wrong]
    zoo.publish(("100644", b"a.yaml", oid))
    mirror = opened()
    with pytest.raises(NidusError):
        tree = fetched(mirror)
        mirror.read(set(tree.files.values()))


def test_links_chains_and_loops_are_all_only_names(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    targets = {b"absolute": b"/etc/passwd", b"chain": b"loop", b"dir": b"..", b"loop": b"loop"}
    zoo.publish(*[("120000", name, zoo.blob(target)) for name, target in sorted(targets.items())])
    tree = fetched(opened())
    assert tree.files == {}
    assert [found.code for found in tree.violations] == ["NID010"] * 4
    assert "passwd" not in str(tree.violations)


def test_depth(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    oid, mode, name = zoo.blob(), "100644", b"f"
    for _ in range(500):
        oid, mode, name = zoo.tree((mode, name, oid)), "40000", b"d"
    commit = zoo.git("commit-tree", "-m", "x", oid)
    zoo.git("update-ref", "refs/heads/main", commit)
    tree = fetched(opened())
    assert [found.code for found in tree.violations] == ["NID015"]


def test_many_entries_are_refused_within_the_limits(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    oid = zoo.blob()
    leaf = zoo.tree(*[("100644", b"%06d" % number, oid) for number in range(1000)])
    branch = zoo.tree(*[("40000", b"%04d" % number, leaf) for number in range(1000)])
    zoo.publish(("40000", b"x", branch))
    with pytest.raises(Stalled) as caught:
        fetched(opened())
    assert caught.value.reason == "TooBig"


def test_size_limits(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    small, edge, large = zoo.blob(b"s"), zoo.blob(b"e" * 1024), zoo.blob(b"l" * 1025)
    zoo.publish(("100644", b"edge", edge), ("100644", b"large", large), ("100644", b"small", small))
    tree = fetched(opened(file="1Ki"))
    assert sorted(tree.files) == ["edge", "small"]
    assert [found.code for found in tree.violations] == ["NID014"]
    for limits in ({"files": 2}, {"total": "2Ki"}):
        with pytest.raises(Stalled) as caught:
            fetched(opened(**limits))
        assert caught.value.reason == "TooBig"


def test_delta_bomb_and_huge_blob_are_never_read(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    huge = zoo.blob(b"\0" * 50_000_000)
    zoo.publish(("100644", b"huge.yaml", huge))
    tree = fetched(opened())
    assert tree.files == {}
    assert [found.code for found in tree.violations] == ["NID014"]


def test_configuration_hooks_and_filters_of_the_repository_start_nothing(
    zoo: Zoo, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook", "filter.x.smudge", "filter.x.clean", "core.pager",
                "core.editor", "credential.helper", "diff.external", "gpg.program", "core.alternateRefsCommand"):  # fmt: skip
        zoo.git("config", key, str(script))
    zoo.git("config", "core.hooksPath", str(tmp_path))
    hooks = zoo.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc", "fsmonitor-watchman"):
        (hooks / hook).symlink_to(script)
        (tmp_path / hook).symlink_to(script)
    zoo.publish(
        ("100644", b".gitattributes", zoo.blob(b"* filter=x diff=x merge=x export-subst\n")),
        ("100644", b".gitmodules", zoo.blob(b'[submodule "m"]\n\tpath = m\n\turl = https://example.invalid/\n')),
        ("100644", b".lfsconfig", zoo.blob(b"[lfs]\n\turl = https://example.invalid/\n")),
        ("100644", b"a.yaml", zoo.blob(b"$Id$")),
        ("160000", b"m", "3" * 40),
    )
    trap.unlink(missing_ok=True)  # the commands above were the repository's own
    mirror = opened()
    tree = fetched(mirror)
    assert mirror.read([tree.files["a.yaml"]]) == {tree.files["a.yaml"]: b"$Id$"}
    assert [found.code for found in tree.violations] == ["NID011"]
    assert not trap.exists()


@pytest.mark.parametrize(("url", "refused"), [("ext::sh -c 'touch %s'", False), ("--upload-pack=touch %s", True)])
def test_submodule_urls_that_run_commands_are_nothing_to_us(
    zoo: Zoo, opened: Callable[..., Mirror], tmp_path: Path, url: str, refused: bool
) -> None:
    text = f'[submodule "m"]\n\tpath = m\n\turl = "{url % (tmp_path / "trap")}"\n'
    zoo.publish(("100644", b".gitmodules", zoo.blob(text.encode())), ("160000", b"m", "3" * 40))
    mirror = opened()
    if refused:
        with pytest.raises(Stalled) as caught:
            mirror.fetch()
        assert caught.value.reason == "BadObjects"
    else:
        assert [found.path for found in fetched(mirror).violations] == ["m"]
    assert not (tmp_path / "trap").exists()


def test_replace_refs_grafts_and_alternates_change_nothing(
    zoo: Zoo, opened: Callable[..., Mirror], tmp_path: Path
) -> None:
    good, evil = zoo.blob(b"good"), zoo.blob(b"evil")
    first = zoo.publish(("100644", b"a", good))
    mirror = opened()
    zoo.git("replace", good, evil)
    tree = fetched(mirror)
    assert mirror.read([tree.files["a"]]) == {good: b"good"}
    assert mirror.head() and mirror.head().commit == first  # type: ignore[union-attr]
    refs = subprocess.run(["git", "for-each-ref"], cwd=tmp_path / "m0", env=ENV, capture_output=True, check=True).stdout
    assert b"replace" not in refs


def test_a_branch_and_a_tag_of_one_name_and_many_refs(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    first = zoo.publish(("100644", b"a", zoo.blob(b"1")))
    second = zoo.publish(("100644", b"a", zoo.blob(b"2")))
    zoo.git("update-ref", "refs/tags/main", first)
    zoo.git(
        "update-ref",
        "--stdin",
        stdin=b"".join(b"create refs/heads/n%d %s\n" % (n, first.encode()) for n in range(2_000)),
    )
    zoo.git("pack-refs", "--all")
    mirror = opened()
    assert mirror.fetch().commit == second


@pytest.mark.parametrize("state", ["empty", "no-branch", "dangling", "not-a-repository", "file", "gone"])
def test_repositories_that_hold_nothing_are_errors_not_empty(
    zoo: Zoo, opened: Callable[..., Mirror], state: str
) -> None:
    if state == "no-branch":
        zoo.git("update-ref", "refs/heads/other", zoo.publish(("100644", b"a", zoo.blob())))
        zoo.git("update-ref", "-d", "refs/heads/main")
    if state == "dangling":
        (zoo.folder / ".git" / "refs" / "heads" / "main").write_text("4" * 40 + "\n")
    if state == "not-a-repository":
        (zoo.folder / ".git").rename(zoo.folder / "not-git")
    if state == "gone":
        zoo.folder.rename(zoo.folder.with_name("elsewhere"))
    if state == "file":
        zoo.folder.rename(zoo.folder.with_name("elsewhere"))
        zoo.folder.write_text("x")
    mirror = opened()
    with pytest.raises(NidusError) as caught:
        mirror.fetch()
    assert caught.value.reason in {"RefMissing", "RepositoryMissing", "GitFailed", "Unreachable", "BadObjects"}
    assert mirror.head() is None


def test_a_shallow_repository_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    for number in range(3):
        zoo.commit({"a": str(number)})
    shallow = tmp_path / "shallow.git"
    subprocess.run(
        ["git", "clone", "-q", "--bare", "--depth=1", f"file://{zoo.folder}", str(shallow)], env=ENV, check=True
    )
    mirror = Mirror.open(SourceConfig(name="s", url=str(shallow)), tmp_path / "m", limits=Limits())
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "Shallow"
    mirror.close()


def test_unrelated_history_is_followed_and_does_not_descend(zoo: Zoo, opened: Callable[..., Mirror]) -> None:
    first = zoo.publish(("100644", b"a", zoo.blob(b"1")))
    mirror = opened()
    mirror.fetch()
    mirror.pin({"c": first})
    second = zoo.publish(("100644", b"b", zoo.blob(b"2")))
    assert mirror.fetch().commit == second
    assert not mirror.descends(first, second)
    zoo.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(Stalled) as caught:
        mirror.fetch()
    assert caught.value.reason == "RefMissing"
    assert list(mirror.tree(first).files) == ["a"]
    assert list(mirror.tree(second).files) == ["b"]


def test_the_environment_of_a_hook_does_not_reach_our_git(
    zoo: Zoo, opened: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = zoo.publish(("100644", b"a", zoo.blob(b"1")))
    trap = tmp_path / "trap"
    for name, value in {
        "GIT_DIR": str(tmp_path), "GIT_WORK_TREE": str(tmp_path), "GIT_INDEX_FILE": str(trap), "GIT_OBJECT_DIRECTORY": str(tmp_path),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(tmp_path), "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor=touch {trap}'",
        "GIT_SSH": str(trap), "GIT_TRACE": str(trap), "GIT_EXEC_PATH": str(tmp_path), "GIT_NAMESPACE": "x", "GIT_ALLOW_PROTOCOL": "ext",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.sshCommand", "GIT_CONFIG_VALUE_0": "touch", "GIT_QUARANTINE_PATH": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    mirror = opened()
    assert mirror.fetch().commit == commit
    assert list(mirror.tree(commit).files) == ["a"]
    assert not trap.exists()
    assert sorted(path.name for path in (tmp_path / "m0" / "refs").iterdir()) == ["heads", "source", "tags"]
