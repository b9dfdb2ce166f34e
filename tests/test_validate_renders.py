"""`nidus validate` renders every pack as every cluster uses it."""

import json
import sys
from pathlib import Path

import pytest

from reconciler.__main__ import main
from reconciler.spec import config, load
from reconciler.verbs import rendering
from tests.spec_cases import CLUSTER, FILES, PROFILE, snapshot

TEMPLATE = "charts/front/templates/a.yaml"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {}}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, FILES)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


BROKEN: dict[str, tuple[dict[str, str], str, str]] = {  # files, what is told of the pack, the fix
    "a function that is none": (
        {TEMPLATE: CONFIG.format("{{ nosuch }}")},
        'parse error at (front/templates/a.yaml:4): function "nosuch" not defined',
        "",
    ),
    "a value that is required": (
        {TEMPLATE: CONFIG.format('{{ required "say why" .Values.why }}')},
        "say why",
        "",
    ),
    "what is no YAML": ({TEMPLATE: CONFIG.format("[")}, "front/templates/a.yaml", ""),
    "another result every time": (
        {TEMPLATE: CONFIG.format("{{ randAlphaNum 20 }}")},
        "the chart renders differently every time: data.a of ConfigMap a in front/templates/a.yaml",
        "a template makes up a password, a certificate or a date: set the value it comes from, name a Secret that exists in the "
        "cluster (often existingSecret), or keep what it makes up first: random: Freeze",
    ),
    "a hook": (
        {
            TEMPLATE: CONFIG.format("b").replace("{name: a}", '{name: a, annotations: {"helm.sh/hook": pre-install}}'),
            "profiles/web.yaml": PROFILE + "        hooks: Refuse\n",
        },
        "the chart has hooks: ConfigMap a (pre-install)",
        "hooks: Run runs them as Helm does, hooks: Ignore leaves them out",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_pack_that_cannot_be_rendered_is_a_mistake_of_its_profile(
    case: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, why, fix = BROKEN[case]
    write(here, files)
    assert main(["validate"]) == 1
    first, line, caret, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("profiles/web.yaml:14:13: NID190 pack front cannot be rendered for team-a: ")
    assert why in first
    assert (line, caret) == ("   14 |     - name: front", "      |             ^")
    assert rest == [*([f"    fix: {fix}"] if fix else []), "1 mistake in 1 file; 1 cluster and 0 profiles sound"]
    assert main(["validate", "--no-render"]) == 0


def test_one_mistake_names_every_cluster(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        write(here, {f"clusters/{number}.yaml": CLUSTER.replace("team-a,", f"c{number},")})
    second = PROFILE.replace("version: 1.2.0", "version: 2.0.0")
    write(here, {TEMPLATE: CONFIG.format("{{ nosuch }}"), "profiles/web.yaml": f"{PROFILE}---\n{second}"})
    write(here, {"clusters/x.yaml": CLUSTER.replace("team-a,", "x,").replace('"1.2.x"', "2.0.0")})
    assert main(["validate", "-o", "json"]) == 1
    told = [(one["path"], one["line"], one["message"]) for one in json.loads(capsys.readouterr().out)["violations"]]
    why = 'parse error at (front/templates/a.yaml:4): function "nosuch" not defined'
    assert told == [
        ("profiles/web.yaml", 14, f"pack front cannot be rendered for c0, c1, c2 and 3 more: {why}"),
        ("profiles/web.yaml", 33, f"pack front cannot be rendered for x: {why}"),
    ]


def test_a_namespace_that_nothing_makes_is_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cluster lists `web`; what Kubernetes makes and what is not namespaced needs nothing."""
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r, namespace: ignored}\nrules: []\n"
    custom = "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t, namespace: %s}\n"
    texts = [CONFIG.format("b"), custom % "kube-system", role]
    write(here, {TEMPLATE: "---\n".join(texts)})
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == "1 cluster and 1 profile sound, no mistakes\n"
    write(here, {TEMPLATE: "---\n".join([*texts, custom % "monitoring"])})
    assert main(["validate"]) == 0
    first, _, _, fix, end = capsys.readouterr().out.splitlines()
    told = "pack front puts objects into namespace monitoring, which nothing makes, for team-a"
    assert first == f"profiles/web.yaml:14:13: warning: {told}"
    assert fix == "    fix: make it in an earlier pack, or list it in spec.namespaces of the cluster"
    assert end == "1 cluster and 1 profile sound, 1 warning"
    space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: monitoring}\n"
    write(here, {TEMPLATE: "---\n".join([*texts, custom % "monitoring", space])})
    assert main(["validate"]) == 0 and "warning" not in capsys.readouterr().out


def test_a_cluster_with_a_pack_that_fails_is_not_warned_of_namespaces(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else that pack makes is not known."""
    write(here, {TEMPLATE: "{{ nosuch }}", "clusters/team-a.yaml": CLUSTER.replace("{name: web,", "{name: other,")})
    assert main(["validate"]) == 1
    assert "warning" not in capsys.readouterr().out


def test_packs_that_come_to_the_same_are_rendered_once() -> None:
    same = PROFILE.replace("www.${{ variables.domain }}", "x").replace("[front.yaml]", "[]")
    files = {**FILES, "profiles/web.yaml": same, "clusters/b.yaml": CLUSTER.replace("team-a,", "b,")}
    found, _ = snapshot(files, load.NOTHING)
    packs = rendering._packs(found, config.anything(), config.NOWHERE)
    assert [(one.layer.name, one.clusters) for one in packs] == [
        ("web/base", ("b",)),
        ("web/front", ("b", "team-a")),
        ("web/base", ("team-a",)),
    ]


def test_a_version_the_chart_does_not_take_is_a_mistake(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"charts/front/Chart.yaml": FILES["charts/front/Chart.yaml"] + 'kubeVersion: "<1.36.0"\n'})
    assert main(["validate"]) == 1
    assert "wants Kubernetes <1.36.0, the target runs v1.36.0" in capsys.readouterr().out
    older = CLUSTER.replace("spec:", "spec:\n  kubernetes: {version: v1.35.0}")
    write(here, {"clusters/team-a.yaml": older})
    assert main(["validate"]) == 0


def test_progress_is_told_on_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 1.9, 2.0, 3.0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = rendering.Progress(lambda: next(times))
    progress(1, 3)
    assert capsys.readouterr().err == ""
    progress(1, 3)
    progress(2, 3)
    progress.end()
    assert capsys.readouterr().err == "\rrendering: 1 of 3 packs\rrendering: 2 of 3 packs\r\x1b[K"


def test_nothing_is_told_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    progress = rendering.Progress(iter([0.0, 9.0]).__next__)
    progress(1, 3)
    progress.end()
    assert capsys.readouterr().err == ""


def test_a_chart_that_asks_the_cluster_is_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = '{{ (lookup "v1" "Secret" "web" "a") | toJson | quote }}'
    notes = (
        f"{TEMPLATE.rpartition('/')[0]}/NOTES.txt"  # what is told of an install is not kept, so nothing in it counts
    )
    write(here, {TEMPLATE: CONFIG.format(call), notes: call})
    assert main(["validate", "-o", "json"]) == 0
    (told,) = [one for one in json.loads(capsys.readouterr().out)["warnings"] if one["code"] == "NID195"]
    assert (told["path"], told["line"]) == (TEMPLATE, 4)


def test_pods_that_a_cluster_refuses_are_warned_of_by_its_level(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec: {{containers: [{{name: c, image: x{}}}]}}\n"
    strict = CLUSTER.replace("team-a,", "strict,").replace("spec:", "spec:\n  isolation: {podSecurity: restricted}", 1)
    write(here, {TEMPLATE: pod.format("a", ", securityContext: {privileged: true}"), "clusters/strict.yaml": strict})
    write(here, {"profiles/web/pod.yaml": pod.format("b", "")})
    assert main(["validate", "-o", "json"]) == 0
    found = [one for one in json.loads(capsys.readouterr().out)["warnings"] if one["code"] == "NID199"]
    told = {(one["line"], one["message"]) for one in found}
    lacks = "container c lacks allowPrivilegeEscalation: false, container c lacks runAsNonRoot: true"
    base = "pack base makes pods that isolation.podSecurity restricted refuses, for strict: Pod/b (" + lacks
    assert [message for _, message in told if message.startswith(base)]
    (one,) = [message for _, message in told if "baseline" in message]
    assert one == (
        "pack front makes pods that isolation.podSecurity baseline refuses, for team-a: Pod/a (container c is privileged)"
    )
    assert {one["path"] for one in found} == {"profiles/web.yaml"} and len(told) == 3
