"""`nidus validate` and `nidus schema` as people and pipelines run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import schemas
from reconciler.__main__ import VERBS, main
from tests.spec_cases import CLUSTER, FILES

ROOT = Path(__file__).parents[1]
CONFIG = """\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources: [{name: p, url: /srv/p.git}]
  engine: {versions: [{version: 0.36.1, chart: {path: /nowhere}}]}
  policy: {dnsPattern: "*.nested.example.com"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        file = tmp_path / "repo" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "repo"


def test_a_sound_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(folder)]) == 0
    assert capsys.readouterr().out == "1 cluster and 1 profile sound, no mistakes\n"


def test_files_of_a_chart_that_git_leaves_out_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are there when the author looks, and not in what is pushed."""
    chart = tmp_path / "charts" / "web"
    for path in ("Chart.yaml", "templates/a.yaml", "templates/.swp", "charts/sub-1.0.0.tgz", "ci/x.tgz", "values.yaml"):
        (chart / path).parent.mkdir(parents=True, exist_ok=True)
        (chart / path).write_text("name: web\nversion: 1.0.0\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("*.tgz\n.swp\nvalues.yaml\n", encoding="utf-8")
    main(["validate", str(tmp_path)])
    assert "leaves out" not in capsys.readouterr().out  # no Git, nothing is left out
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert main(["validate", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "charts/web/Chart.yaml:1:1: warning: Git leaves out files of this chart, as a .gitignore says: " in told
    assert (
        "says: charts/web/charts/sub-1.0.0.tgz, charts/web/values.yaml\n" in told
        and "git add --force charts/web," in told
    )


def test_mistakes_have_place_line_caret_and_fix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clusters/b.yaml").write_text(
        CLUSTER.replace("team-a", "team-b").replace("profiles:", "porfiles:"), encoding="utf-8"
    )
    assert main(["validate", str(folder)]) == 1
    assert capsys.readouterr().out == (
        f"{folder}/clusters/b.yaml:6:3: NID122 unknown field porfiles\n"
        "    6 |   porfiles:\n"
        "      |   ^\n"
        "    fix: did you mean profiles?\n"
        "1 mistake in 1 file; 1 cluster and 1 profile sound\n"
    )


def test_a_file_that_a_pack_reads_and_may_not_is_named_with_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "profiles/web/more.yaml").symlink_to("config.yaml")
    assert main(["validate", str(folder)]) == 1
    told = capsys.readouterr().out
    assert (
        "profiles/web/more.yaml:0:0: NID010 a symbolic link is never followed; pack base of profile web 1.2.0 reads it\n"
        in told
    )
    assert "    fix: commit the file itself\n" in told and "0 clusters and 0 profiles sound" in told


def test_a_monorepo_of_pictures_and_links_that_no_pack_names_is_sound(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "services").mkdir()
    (folder / "services/picture.png").write_bytes(b"#" * (2 << 20))
    (folder / "services/loop").symlink_to("../services")
    (folder / "services/passwd").symlink_to("/etc/passwd")
    (folder / "services/lfs.yaml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert main(["validate", str(folder)]) == 0
    assert capsys.readouterr().out == "1 cluster and 1 profile sound, no mistakes\n"


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clusters/b.yaml").write_text("nidus.dev/: [\n", encoding="utf-8")
    assert main(["validate", str(folder), "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["clusters"] == 1 and report["profiles"] == 1 and report["revision"].endswith("+dirty")
    assert [(one["path"], one["line"], one["code"], one["subject"]) for one in report["violations"]] == [
        ("clusters/b.yaml", 2, "NID110", "")
    ]


def test_the_policy_of_a_controller(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "nidus.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    exposed = CLUSTER.replace("spec:", "spec:\n  expose: {type: Ingress, host: a.example.org}")
    (folder / "clusters/team-a.yaml").write_text(exposed, encoding="utf-8")
    assert main(["validate", str(folder)]) == 0
    assert main(["validate", str(folder), "--config", str(config)]) == 1
    assert "NID163" in capsys.readouterr().out
    config.write_text(CONFIG.replace("dnsPattern", "dnsPatern"), encoding="utf-8")
    assert main(["validate", str(folder), "--config", str(config)]) == 1
    assert f"{config}:6:12: NID122 unknown field dnsPatern" in capsys.readouterr().out


def test_the_ceilings_of_a_controller(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "nidus.yaml"
    config.write_text(f"{CONFIG}  ceilings: {{replicas: 1}}\n", encoding="utf-8")
    above = CLUSTER.replace("spec:", "spec:\n  controlPlane: {replicas: 3, store: {type: etcd}}")
    (folder / "clusters/team-a.yaml").write_text(above, encoding="utf-8")
    assert main(["validate", str(folder), "--config", str(config)]) == 1
    assert capsys.readouterr().out == (
        f"{folder}/clusters/team-a.yaml:5:28: NID177 asks for 3 replicas; the controller's ceilings.replicas allows at most 1\n"
        "    5 |   controlPlane: {replicas: 3, store: {type: etcd}}\n"
        "      |                            ^\n"
        "    fix: ask for at most 1, or have the operator of the controller change spec.ceilings.replicas\n"
        "1 mistake in 1 file; 0 clusters and 1 profile sound\n"
    )


@pytest.mark.parametrize("arguments", [["/does/not/exist"], [__file__, "/tmp"], [".", "--config", "/does/not/exist"]])
def test_wrong_usage_is_exit_code_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *arguments]) == 64
    assert capsys.readouterr().err.startswith("error: ")


def test_no_control_characters_reach_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CLUSTER.replace("team-a", "team-b") + "  \u202e: 1\n"
    (folder / "clusters/b.yaml").write_text(text, encoding="utf-8")
    assert main(["validate", str(folder)]) == 1
    assert all(sign.isprintable() for sign in capsys.readouterr().out.replace("\n", ""))


def test_it_imports_nothing_heavy_and_needs_no_git(folder: Path) -> None:
    code = (
        "import sys; from reconciler.__main__ import main; main(['validate', sys.argv[1]]);"
        "print(*[name for name in ('kubernetes', 'flask', 'git', 'watchdog', 'jsonschema') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1 cluster and 1 profile sound, no mistakes\n\n"


def test_colours_only_on_a_terminal_and_never_with_no_color(folder: Path) -> None:
    (folder / "clusters/b.yaml").write_text("nidus.dev/: [\n", encoding="utf-8")
    for no_color, coloured in (("", True), ("1", False)):
        shown = on_terminal([sys.executable, "-m", "reconciler", "validate", str(folder)], no_color)
        assert "NID110" in shown and ("\x1b[31m" in shown) is coloured


def on_terminal(command: list[str], no_color: str) -> str:
    """What a command prints to a terminal."""
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:
            pass  # the other end was closed: the process is done
        process.wait(timeout=60)
    os.close(leader)
    return shown.decode()


def test_schemas_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.split() == [*schemas.KINDS, *schemas.OUTPUTS]
    assert main(["schema", "NestedCluster"]) == 0
    assert json.loads(capsys.readouterr().out) == schemas.load("NestedCluster")
    assert main(["schema", "--dir", str(tmp_path / "out")]) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"{kind}.schema.json" for kind in schemas.KINDS}
    assert main(["schema", "--dir", "/dev/null/x"]) == 64


def test_files_stand_for_their_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "profiles/web.yaml").unlink()  # what another file needs
    monkeypatch.chdir(folder.parent)
    assert main(["validate", "--folder", "repo", "repo/profiles/front.yaml", "repo/clusters/team-a.yaml"]) == 1
    assert "repo/clusters/team-a.yaml:7:14: NID140 no profile web\n" in capsys.readouterr().out
    monkeypatch.chdir(folder)
    assert main(["validate", "clusters/team-a.yaml"]) == 1
    assert "clusters/team-a.yaml:7:14: NID140 no profile web\n" in capsys.readouterr().out


def test_files_outside_of_the_folder_are_nothing_to_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clusters/team-a.yaml").write_text("nidus.dev/: [\n", encoding="utf-8")
    assert main(["validate", "--folder", str(folder), __file__]) == 0
    assert capsys.readouterr().out == ""


def test_the_hook_for_pre_commit_calls_a_verb() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    command, verb = hook["entry"].split()
    assert command == "nidus" and verb in VERBS and hook["require_serial"] is True
