"""From a tree to a snapshot: isolation of mistakes (V4), nothing read twice, nothing that depends on order."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ClusterDocument, Limits, Revision, replace
from reconciler.spec import config, load, resolve
from tests.examples import examples
from tests.spec_cases import CLUSTER, FACTS, FILES, PROFILE, RULES, edited, snapshot, told, tree

SECOND = CLUSTER.replace("team-a", "team-b")


def test_a_sound_repository() -> None:
    found, _ = snapshot(FILES)
    assert found.violations == ()
    assert set(found.specs.clusters) == {"team-a"}
    assert set(found.specs.profiles) == {("web", "1.2.0")}
    document = found.specs.profiles["web", "1.2.0"]
    assert [path for path, _ in document.files["base"]] == ["profiles/web/config.yaml"]
    assert [path for path, _ in document.files["front"]] == [
        "charts/front/Chart.yaml",
        "charts/front/templates/a.yaml",
        "profiles/front.yaml",
    ]
    assert found.specs.clusters["team-a"].path == "clusters/team-a.yaml"
    assert found.tree == tree(FILES)[0].files


def test_yaml_outside_charts_is_wanted_and_only_once() -> None:
    """Of charts only what is small enough for an LFS pointer."""
    more = {"copy.yaml": FILES["profiles/front.yaml"], "README.md": "nidus.dev/", "charts/front/large.yaml": "#" * 1024}
    whole, _ = tree({**FILES, **more})
    wanted = load.wanted(whole, load.NOTHING)
    assert len(wanted) == len(set(wanted)) == 7
    assert not {whole.files["README.md"], whole.files["charts/front/large.yaml"]} & {*wanted}
    _, known = snapshot(FILES)
    assert load.wanted(tree(FILES)[0], known) == []
    assert len(load.wanted(tree(edited("clusters/team-a.yaml", "team: a", "team: b"))[0], known)) == 1


def test_one_bad_file_does_not_stop_others() -> None:
    found, _ = snapshot(
        {**FILES, "clusters/bad.yaml": SECOND.replace("spec:", "sepc:"), "clusters/worse.yaml": "nidus.dev/: {"}
    )
    assert set(found.specs.clusters) == {"team-a"}
    assert told(found) == [
        ("clusters/bad.yaml", 4, "NID122", "cluster/team-b"),
        ("clusters/worse.yaml", 2, "NID110", ""),
    ]


def test_a_bad_document_does_not_stop_its_neighbours_in_the_file() -> None:
    text = SECOND.replace('cpu: "2"', "cpu: yes") + "---\n" + CLUSTER.replace("team-a", "team-c")
    found, _ = snapshot({**FILES, "clusters/two.yaml": text})
    assert set(found.specs.clusters) == {"team-a", "team-c"}
    assert told(found) == [("clusters/two.yaml", 5, "NID114", "cluster/team-b")]


def test_files_that_are_not_ours_may_say_what_they_like() -> None:
    assert snapshot({**FILES, "x.yaml": "a: &b yes\n: ["})[0].violations == ()


def test_a_name_used_twice_is_told_in_both_places_and_neither_counts() -> None:
    found, _ = snapshot({**FILES, "other.yaml": "# x\n" + CLUSTER})
    assert told(found) == [
        ("clusters/team-a.yaml", 3, "NID130", "cluster/team-a"),
        ("other.yaml", 4, "NID130", "cluster/team-a"),
    ]
    assert found.specs.clusters == {}


def test_a_broken_profile_takes_along_the_clusters_that_would_use_it() -> None:
    older = PROFILE.replace("1.2.0", "1.1.0")
    files = {**edited("profiles/web.yaml", "minimum: 1", "minimum: 3"), "profiles/old.yaml": older}
    files["clusters/b.yaml"] = SECOND.replace("1.2.x", "1.1.0")
    found, _ = snapshot(files)
    assert ("profiles/web.yaml", 8, "NID145", "profile/web@1.2.0") in told(found)
    assert ("clusters/team-a.yaml", 7, "NID143", "cluster/team-a") in told(found)
    assert set(found.specs.clusters) == {"team-b"}
    assert set(found.specs.profiles) == {("web", "1.1.0")}


@pytest.mark.parametrize("broken", ["  version: 1.2.1\n  x: [", "  version: {a: b}"])
def test_a_range_never_falls_back_because_a_newer_version_cannot_be_read(broken: str) -> None:
    newer = PROFILE.replace("  version: 1.2.0", broken)
    found, _ = snapshot({**FILES, "profiles/newer.yaml": newer})
    assert ("clusters/team-a.yaml", 7, "NID143", "cluster/team-a") in told(found)
    assert found.specs.clusters == {}


def test_an_exact_version_does_not_care_about_an_unreadable_one() -> None:
    files = edited("clusters/team-a.yaml", "1.2.x", "1.2.0")
    found, _ = snapshot(
        {**files, "profiles/newer.yaml": PROFILE.replace("  version: 1.2.0", "  version: 1.2.1\n  x: [")}
    )
    assert set(found.specs.clusters) == {"team-a"}


def test_comments_and_layout_change_no_digest() -> None:
    before, _ = snapshot(FILES)
    after, _ = snapshot({path: text + ("\n# more\n" if "charts/" not in path else "") for path, text in FILES.items()})
    assert before.specs.clusters["team-a"].digest == after.specs.clusters["team-a"].digest
    assert before.specs.profiles["web", "1.2.0"].digest == after.specs.profiles["web", "1.2.0"].digest
    assert before.specs.profiles["web", "1.2.0"].contents == after.specs.profiles["web", "1.2.0"].contents


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("profiles/web/config.yaml", "cluster:", "other:"),
        ("profiles/front.yaml", "info", "debug"),
        ("charts/front/templates/a.yaml", "not", "never"),
        ("profiles/web.yaml", "maximum: 10", "maximum: 11"),
    ],
)
def test_content_changes_the_profiles_digest(path: str, old: str, new: str) -> None:
    before, after = snapshot(FILES)[0], snapshot(edited(path, old, new))[0]
    assert before.specs.profiles["web", "1.2.0"].digest != after.specs.profiles["web", "1.2.0"].digest


def test_a_version_in_use_is_immutable_unless_the_policy_says_otherwise() -> None:
    digest = snapshot(FILES)[0].specs.profiles["web", "1.2.0"].digest
    files = edited("profiles/front.yaml", "info", "debug")
    found, _ = snapshot(files, in_use={("web", "1.2.0"): digest})
    assert ("profiles/web.yaml", 5, "NID144", "profile/web@1.2.0") in told(found)
    (one,) = [each for each in found.violations if each.code == "NID144"]
    assert "profiles/front.yaml" in one.message and "put it back" in one.hint
    assert "the content of profile web 1.2.0, which is in use, changed" in {each.message for each in found.violations}
    assert found.specs.clusters == {} and found.specs.profiles == {}
    assert snapshot(FILES, in_use={("web", "1.2.0"): digest})[0].violations == ()
    mutable = replace(RULES, profile_versions="Mutable")
    assert snapshot(files, rules=mutable, in_use={("web", "1.2.0"): digest})[0].violations == ()


def test_what_is_unchanged_is_kept_as_it_is() -> None:
    first, known = snapshot({**FILES, "clusters/b.yaml": SECOND})
    second, _ = snapshot({**FILES, "clusters/b.yaml": SECOND + "\n# x"}, known)
    assert second.specs.clusters["team-a"] is first.specs.clusters["team-a"]
    assert second.specs.clusters["team-b"] == first.specs.clusters["team-b"]
    assert second.specs.profiles["web", "1.2.0"] is first.specs.profiles["web", "1.2.0"]


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ("nidus.dev/v1alpha1", "nidus.dv/v1alpha1", 1, "NID120"),
        ("nidus.dev/v1alpha1\nkind", "[\nkind", 3, "NID110"),
        ("nidus.dev/v1alpha1", "apps/v1 # nidus.dev/v1alpha1", 1, "NID120"),
    ],
)
def test_a_typo_in_an_accepted_file_is_not_a_removal(old: str, new: str, line: int, code: str) -> None:
    accepted = snapshot(FILES)[0].specs.clusters
    files = edited("clusters/team-a.yaml", old, new)
    assert snapshot(files)[0].violations == ()
    found, _ = snapshot(files, accepted=accepted)
    assert told(found) == [("clusters/team-a.yaml", line, code, "cluster/team-a")]


def test_a_file_that_means_something_else_now_is_a_removal() -> None:
    accepted = snapshot(FILES)[0].specs.clusters
    gone = {path: text for path, text in FILES.items() if path != "clusters/team-a.yaml"}
    assert snapshot(gone, accepted=accepted)[0].violations == ()
    assert snapshot({**gone, "clusters/team-a.yaml": "a: 1\n"}, accepted=accepted)[0].violations == ()


def test_yaml_mistakes_of_a_neighbour_that_is_not_ours_are_not_told() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: yes}\n---\n" + SECOND
    found, _ = snapshot({**FILES, "clusters/b.yaml": text})
    assert found.violations == () and set(found.specs.clusters) == {"team-a", "team-b"}


def test_known_forgets_files_that_left() -> None:
    _, known = snapshot({**FILES, "clusters/b.yaml": SECOND})
    _, known = snapshot(FILES, known)
    assert "clusters/b.yaml" not in known.entries and "team-b" not in known.clusters


def test_an_integer_written_as_a_fraction_is_a_mistake_not_a_crash() -> None:
    found, _ = snapshot(edited("clusters/team-a.yaml", "pods: 5", "pods: 5.0"))
    assert told(found) == [("clusters/team-a.yaml", 5, "NID124", "cluster/team-a")]


def test_a_missing_blob_is_an_error_never_empty() -> None:
    whole, _ = tree(FILES)
    with pytest.raises(KeyError):
        load.load("s", Revision("main", "c"), whole, {}, load.NOTHING, RULES, FACTS, Limits())


_EDITS = [
    ("clusters/team-a.yaml", "team: a}}", "team: b}}"),
    ("clusters/team-a.yaml", "a.example.com", "A"),
    ("clusters/team-a.yaml", "spec:", "sepc:"),
    ("profiles/web.yaml", "default: 2", "default: 20"),
    ("profiles/web.yaml", "web/*.yaml", "none/*.yaml"),
    ("profiles/front.yaml", "info", "${{ variables.nobody }}"),
    ("profiles/web/config.yaml", "kind: ConfigMap", "kind: Secret"),
    ("charts/front/Chart.yaml", "front", "back"),
]


@examples(14)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from(range(len(_EDITS)))), st.booleans()), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_what_is_remembered_never_changes_the_answer(commits: list[tuple[set[int], bool]], random: object) -> None:
    """Any sequence of commits loaded one after another says what each says when loaded alone, whatever the order of files, by whose
    rules each is judged, and which of them was accepted."""
    known, accepted = load.NOTHING, dict[str, ClusterDocument]()
    for commit, bare in commits:
        rules = config.anything() if bare else RULES
        files = dict(FILES)
        for index in commit:
            path, old, new = _EDITS[index]
            files[path] = files[path].replace(old, new)
        items = list(files.items())
        random.shuffle(items)  # type: ignore[attr-defined]
        warm, known = snapshot(dict(items), known, rules, accepted=accepted)
        cold, _ = snapshot(files, rules=rules, accepted=accepted)
        assert warm.violations == cold.violations
        assert warm.specs == cold.specs
        accepted = {**warm.specs.clusters}


_PIECES = [
    "",
    "\n",
    " ",
    "  ",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "${{",
    "}}",
    "yes",
    "1",
    "null",
    "spec",
    "\t",
    "#",
    "'",
    '"',
    "---\n",
    "*",
    "é",
]


@examples(14)
@given(st.sampled_from(sorted(path for path in FILES if not path.startswith("charts"))), st.data())
def test_no_edit_of_any_file_crashes_it_and_every_mistake_has_a_place(path: str, data: st.DataObject) -> None:
    text = FILES[path]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.sampled_from(_PIECES)) + text[end:]
    files = {**FILES, path: text}
    accepted = snapshot(FILES)[0].specs.clusters
    found, _ = snapshot(files, accepted=accepted)
    for one in found.violations:
        assert one.path in files and one.line >= 1 and one.column >= 1 and one.message
        assert one.line <= files[one.path].count("\n") + 2
    for name in found.specs.clusters:
        resolve.bundle(name, found.content, RULES, FACTS)


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_a_secret_in_a_list_of_lists_is_found(depth: int) -> None:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    for _ in range(depth):
        body = {"apiVersion": "v1", "kind": "List", "items": [body]}
    found, _ = snapshot({**FILES, "profiles/web/s.yaml": json.dumps(body)})
    assert "NID154" in [str(one.code) for one in found.violations]
