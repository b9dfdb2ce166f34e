"""Warnings of texts that mean nothing here, and of files that lost their documents."""

import json
from pathlib import Path

import pytest

from reconciler.__main__ import main
from reconciler.model import Limits
from reconciler.spec import entries, slips, stored
from tests.spec_cases import CLUSTER, FILES, snapshot, tree
from tests.test_source_mirror import Work


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: “b”", (1, 4)),
        ("a: {c: ‘b c’, d: e}", (1, 8)),
        ("a:\n  - «b»  # why", (2, 5)),
        ("a: „b“", (1, 4)),
        ("a: “Best” of all", None),
        ('a: "“b”"', None),
        ("# “b”\na: b", None),
        ("a: |\n  “b”\n", None),
        ("“a”: b", None),
    ],
)
def test_typographic_quotes_around_a_whole_value(text: str, place: tuple[int, int] | None) -> None:
    found = [(one.line, one.column) for one in slips.quoted("a.yaml", text.encode())]
    assert found == ([place] if place else [])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a: "{{ .Values.x }}"', (1, 4)),
        ("a: x-{{- .Release.Name -}}", (1, 4)),
        ("a: '{{ $labels.x }}'", None),
        ("a: ${{ variables.x }}", None),
        ("a: b # {{ .Values.x }}", None),
        ("a: |\n  {{ .Values.x }}\n", None),
    ],
)
def test_a_template_of_helm_in_a_manifest(text: str, place: tuple[int, int] | None) -> None:
    found = [(one.line, one.column) for one in slips.templates("a.yaml", text.encode())]
    assert found == ([place] if place else [])


def test_many_slips_are_told_of_the_first_ones() -> None:
    """In one line, too, where looking at the rest of it each time would take for ever."""
    assert len(slips.quoted("a.yaml", ("[" + "“b”, " * 50000 + "c]").encode())) == 20


def test_a_template_of_helm_as_a_key_is_told_what_it_is() -> None:
    found = snapshot({**FILES, "profiles/web/a.yaml": "a: {{ .Values.x }}\n"})[0]
    (told,) = [one for one in found.violations if one.path == "profiles/web/a.yaml"]
    assert (told.code, told.hint) == ("NID116", slips.AS_KEY)


def test_documents_and_manifests_are_warned_of_and_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: '{{ .Values.a }}'}\n"
    quoted = CLUSTER.replace("team: a}}", "team: a}}").replace("spec:", "spec:\n  description: “mine”", 1)
    for path, text in {**FILES, "profiles/web/more.yaml": manifest, "clusters/team-a.yaml": quoted}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert main(["validate", str(tmp_path), "--no-render", "-o", "json"]) == 0
    told = [(one["path"], one["line"], one["code"]) for one in json.loads(capsys.readouterr().out)["warnings"]]
    assert told == [("clusters/team-a.yaml", 5, "NID119"), ("profiles/web/more.yaml", 4, "NID119")]
    _, blobs = tree({"a.yaml": quoted})
    for oid, data in blobs.items():  # what is kept between commands has no warnings: such a file is read again
        assert not stored.worth(entries.read("a.yaml", oid, data, Limits()))


@pytest.mark.parametrize("rest", ["", "# nothing\n---\n"])
def test_a_file_that_lost_its_cluster_is_warned_of(rest: str) -> None:
    before = snapshot(FILES)[0].specs.clusters
    found = snapshot({**FILES, "clusters/team-a.yaml": rest}, accepted=before)[0]
    message = "cluster team-a was described here, and the file holds no document now: that is a removal"
    assert [(one.path, one.code, one.message) for one in found.warnings] == [
        ("clusters/team-a.yaml", "NID105", message)
    ]
    assert found.violations == ()  # it is a removal all the same
    gone = {path: text for path, text in FILES.items() if path != "clusters/team-a.yaml"}
    assert snapshot(gone, accepted=before)[0].warnings == ()
    moved = {**gone, "clusters/team-a.yaml": rest, "clusters/b.yaml": CLUSTER}
    assert snapshot(moved, accepted=before)[0].warnings == ()


def test_validate_compares_with_the_last_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(tmp_path / "work")
    work.commit({**FILES, "empty.yaml": "# ours later\n"})
    (work.folder / "clusters/team-a.yaml").write_text("# gone\n")
    for folder in (".", str(work.folder)):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(work.folder)
            assert main(["validate", folder, "--no-render", "-o", "json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["warnings"]
        assert (told["path"], told["code"]) == ("clusters/team-a.yaml", "NID105")
        assert told["message"].startswith("the last commit has documents of ours here, and ")
