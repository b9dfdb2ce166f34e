"""`nidus init`, `new` and `completion`: what they write is sound at once, and nothing is ever overwritten."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconciler.__main__ import VERBS, main
from reconciler.errors import UsageError
from reconciler.verbs import copied, drafts
from tests.house.documents import ROOT


@pytest.fixture
def repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["init", str(tmp_path / "made")]) == 0
    capsys.readouterr()
    return tmp_path / "made"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return Path(shutil.copytree(ROOT / "sample-repo", tmp_path / "work"))


def spec(folder: Path, name: str) -> dict[str, object]:
    found = yaml.safe_load((folder / "clusters" / f"{name}.yaml").read_text())["spec"]
    assert isinstance(found, dict)
    return found


def test_a_new_repository_validates_and_renders(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(repository)]) == 0
    assert "1 cluster and 1 profile sound" in capsys.readouterr().out
    assert main(["render", "dev", "--folder", str(repository)]) == 0
    kinds = [one["kind"] for one in yaml.safe_load_all(capsys.readouterr().out)]
    assert kinds[0] == "Namespace" and "ResourceQuota" in kinds
    head = subprocess.run(["git", "symbolic-ref", "HEAD"], cwd=repository, capture_output=True, text=True)
    assert head.stdout == "refs/heads/main\n"


def test_editors_find_the_schemas(repository: Path) -> None:
    for file in (*repository.glob("clusters/*.yaml"), *repository.glob("profiles/*.yaml")):
        place = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / place).is_file()


def test_a_folder_in_use_is_left_alone(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()}
    assert main(["init", str(repository)]) == 64
    assert "is not empty" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()}


def test_a_cluster_with_values(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--profile",
        "baseline",
        "--profile",
        "web-stack@1.1.x",
        "--set",
        "team=c",
        "--set",
        "web-stack.replicas=3",
    ]
    assert main(["new", "cluster", "team-c", *words, "--set", "maxPods=7", "--folder", str(sample)]) == 0
    assert spec(sample, "team-c")["profiles"] == [
        {"name": "baseline", "version": "1.0.0", "variables": {"team": "c", "maxPods": 7}},
        {"name": "web-stack", "version": "1.1.x", "variables": {"replicas": 3}},
    ]
    first = (sample / "clusters" / "team-c.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../schemas/NestedCluster.schema.json"
    assert main(["validate", str(sample)]) == 0
    assert "5 clusters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["cluster", "team-c", "--profile", "baseline"], 64, "baseline.team is required: Team that owns the cluster"),
        (["cluster", "team-c", "--profile", "base-line"], 1, "did you mean baseline?"),
        (["cluster", "team-c", "--profile", "baseline@9.x"], 1, "its versions: 1.0.0"),
        (["cluster", "team-c", "--profile", "baseline", "--set", "team=c", "--set", "maxPod=1"], 1, "mean maxPods?"),
        (["cluster", "team-c", "--profile", "baseline", "--set", "team"], 64, "no value"),
        (["cluster", "team-c", "--profile", "baseline", "--set", "team=C!"], 1, "NID"),
        (["cluster", "team-c", "--profile", "baseline", "--set", "team=c", "--set", "maxPods=many"], 1, "NID148"),
        (["cluster", "Team_C"], 64, "no name"),
        (["cluster", "../out"], 64, "no name"),
        (["cluster", "sandbox"], 64, "is there already"),
        (["profile", "web", "--set", "a=b"], 64, "are for clusters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_would_not_be_sound_is_not_written(
    sample: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    before = sorted(sample.rglob("*"))
    assert main(["new", *words, "--folder", str(sample)]) == code
    assert told in capsys.readouterr().err
    assert sorted(sample.rglob("*")) == before


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_asked(sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal("c\n"))
    assert main(["new", "cluster", "team-c", "--profile", "baseline", "--folder", str(sample)]) == 0
    assert spec(sample, "team-c")["profiles"] == [{"name": "baseline", "version": "1.0.0", "variables": {"team": "c"}}]
    assert "Team that owns the cluster" in capsys.readouterr().err


def test_new_profiles_and_clusters_without_any(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "profile", "web", "--folder", str(repository)]) == 0
    assert main(["new", "cluster", "bare", "--folder", str(repository)]) == 0
    assert main(["new", "cluster", "both", "--profile", "web", "--folder", str(repository)]) == 0
    assert main(["new", "profile", "web", "--folder", str(repository)]) == 64
    assert main(["validate", str(repository)]) == 0
    assert "3 clusters and 2 profiles sound" in capsys.readouterr().out


def test_nothing_is_written_through_a_link_that_leads_out(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "clusters" / "linked").symlink_to(outside)
    with pytest.raises(UsageError, match="lies outside of"):
        drafts.write(repository, {"clusters/linked/a.yaml": b""})
    assert not list(outside.iterdir())


def test_the_next_version_of_a_profile_is_copies_that_share_nothing(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in sample.rglob("*") if file.is_file()}
    assert main(["new", "profile", "web-stack", "--from", "1.2.x", "--folder", str(sample)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"{sample}/profiles/web-stack/1.3.0.yaml",
        f"{sample}/charts/web-1.3.0  (from charts/web-1.2.0)",
        f"{sample}/profiles/web-stack/values/common-1.3.0.yaml  (from profiles/web-stack/values/common.yaml)",
        "next: change these files, and say in the clusters which version they want",
        "clusters/team-a-dev.yaml:4 wants 1.2.x: write 1.3.0 there for the new one",
        "clusters/team-a-prod.yaml:4 wants 1.1.0: write 1.3.0 there for the new one",
        "clusters/team-b.yaml:5 wants 1.2.0: write 1.3.0 there for the new one",
    ]
    lines = [(sample / f"profiles/web-stack/{one}.yaml").read_text().splitlines() for one in ("1.2.0", "1.3.0")]
    differ = [new.strip() for old, new in zip(*lines, strict=True) if old != new]
    assert differ == [
        "version: 1.3.0",
        "chart: {path: ../../charts/web-1.3.0}",
        "valuesFiles: [values/common-1.3.0.yaml]",
    ]
    assert main(["new", "profile", "baseline", "--from", "1.0.0", "--version", "2.0.0", "--folder", str(sample)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1] == f"{sample}/profiles/baseline/access-2.0.0  (from profiles/baseline/access)"
    assert {file: data for file, data in before.items() if file.read_bytes() != data} == {}
    assert main(["validate", str(sample)]) == 0
    assert "4 clusters and 6 profiles sound" in capsys.readouterr().out


def test_a_next_version_that_cannot_be_made_writes_nothing(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file for file in sample.rglob("*") if file.is_file()}
    for words, code, hint in (
        ("web-stack --from 9.x", 1, "its versions: 1.1.0, 1.2.0"),
        ("web-stak --from 1.2.0", 1, "did you mean web-stack?"),
        ("web-stack --from 1.2.0 --version 1.1.0", 64, "its versions: 1.1.0, 1.2.0"),
        ("web-stack --from 1.2.0 --version next", 64, "such as 1.3.0"),
        ("web-stack --version 1.3.0", 64, "nidus new profile NAME --from VERSION"),
    ):
        assert main(["new", "profile", *words.split(), "--folder", str(sample)]) == code, words
        assert f"  hint: {hint}" in capsys.readouterr().err
    (sample / "charts" / "web-1.3.0").mkdir()
    (sample / "charts" / "web-1.3.0" / "values.yaml").write_text("")
    assert main(["new", "profile", "web-stack", "--from", "1.2.0", "--folder", str(sample)]) == 64
    assert "charts/web-1.3.0/values.yaml is there already" in capsys.readouterr().err
    assert {file for file in sample.rglob("*") if file.is_file()} == before | {sample / "charts/web-1.3.0/values.yaml"}


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        ("*.yaml", "2.0.0/*.yaml"),
        ("../*.yaml", "../2.0.0/*.yaml"),
        ("web/**/*.yaml", "web-2.0.0/**/*.yaml"),
        ("web-1.0.0/a.yaml", "web-2.0.0/a.yaml"),
        ("v11.0.0/1.0.0-a/v1.0.0.yaml", "v11.0.0/2.0.0-a/v2.0.0.yaml"),
        ("../charts/web", "../charts/web-2.0.0"),
        ("../charts/web/", "../charts/web-2.0.0"),
        ("values/a.yaml", "values/a-2.0.0.yaml"),
        (".", "./2.0.0"),
    ],
)
def test_where_the_copies_of_a_version_lie(path: str, moved: str) -> None:
    assert copied._moved(path, "1.0.0", "2.0.0") == moved


SYNTAX = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "-n"]}


@pytest.mark.parametrize("shell", SYNTAX)
def test_completions_name_every_verb(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert [verb for verb in VERBS if verb not in script.read_text()] == []
    if shutil.which(shell):
        subprocess.run([*SYNTAX[shell], str(script)], check=True, timeout=30)


def test_bash_completes_verbs_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(nidus {words}); COMP_CWORD={at}; {function} nidus "{last}"; echo "${{COMPREPLY[@]}}"'
    function = next(line.split()[-2] for line in script.splitlines() if line.startswith("complete ") and " -F " in line)
    for words, at, last, wanted in (
        ("kube", 1, "kube", "kubeconfig"),
        ("plan --det", 2, "--det", "--detailed-exitcode"),
    ):
        line = ask.format(words=words, at=at, last=last, function=function)
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{line}"], capture_output=True, text=True, timeout=30, check=True
        )
        assert wanted in done.stdout.split()


def test_kubectl_finds_it_as_a_plugin(tmp_path: Path) -> None:
    plugin = Path(sys.executable).with_name("kubectl-nidus")
    done = subprocess.run([plugin, "status", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("usage: kubectl nidus status")
