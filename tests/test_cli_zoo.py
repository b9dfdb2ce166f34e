"""Every wrong file of a collection of hostile ones through `nidus validate` as a process: reported with its place, no
crash."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

HEAD = "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\n"
SOUND = HEAD + "metadata: {name: sound}\nspec: {}\n"


def cluster(spec: str, name: str = "x") -> bytes:
    return f"{HEAD}metadata: {{name: {name}}}\nspec: {spec}\n".encode()


def listed(*lines: str) -> bytes:
    return (HEAD + "metadata: {name: x}\nspec:\n" + "\n".join(f"  {line}" for line in lines) + "\n").encode()


ALIASES = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 10))
FILES: dict[str, tuple[bytes, int]] = {  # name -> content, the line that must be named (0: any)
    "utf-16": (SOUND.encode("utf-16"), 1),
    "utf-16-be": (SOUND.encode("utf-16-be"), 1),
    "latin-1": (listed("description: caf\xe9").replace("\xe9".encode(), b"\xe9"), 5),
    "nul": (SOUND.encode().replace(b"sound", b"so\0und"), 3),
    "deep-flow": (cluster("[" * 50000), 4),
    "deep-blocks": (HEAD.encode() + b"spec:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 400)), 0),
    "bomb": (f"{HEAD}a0: &a0 [1]\n{ALIASES}\n".encode(), 3),
    "recursive": (cluster("&a {description: *a}"), 4),
    "merge": (listed("<<: {suspend: {reason: x}}"), 5),
    "duplicate": (listed("quota: {pods: 1}", "quota: {pods: 2}"), 6),
    "unknown-tag": (cluster("!secret x"), 4),
    "python-tag": (cluster("!!python/object/apply:os.system [id]"), 4),
    "long-integer": (listed(f"quota: {{pods: {'9' * 5000}}}"), 5),
    "not-a-number": (listed("quota: {pods: .nan}"), 5),
    "infinity": (listed("quota: {pods: .inf}"), 5),
    "no": (listed("description: no"), 5),
    "on": (listed("description: on"), 5),
    "octal": (listed("description: 012"), 5),
    "sexagesimal": (listed("description: 1:20"), 5),
    "date": (listed("description: 2026-01-01"), 5),
    "many-documents": (SOUND.encode() + b"---\n" + (SOUND + "---\n").encode() * 10000, 0),
    "just-too-large": (SOUND.encode() + b"#" * (1 << 22), 0),
    "unknown-top": (SOUND.encode() + b"extra: 1\n", 5),
    "unknown-metadata": (SOUND.replace("{name: sound}", "{name: x, namespace: y}").encode(), 3),
    "unknown-spec": (listed("replicas: 3"), 5),
    "unknown-deep": (listed("controlPlane:", "  resources:", "    requests: {gpu: 1}"), 0),
    "not-built-yet": (listed("sharedServices: []"), 5),
    "trailing-newline-name": (f'{HEAD}metadata: {{name: "x\\n"}}\nspec: {{}}\n'.encode(), 3),
    "confusable-name": (f"{HEAD}metadata: {{name: tеam}}\nspec: {{}}\n".encode(), 3),
    "long-name": (cluster("{}", "a" * 64), 3),
    "number-name": (cluster("{}", "17"), 3),
    "template": (HEAD.encode() + b"metadata: {name: {{ .Values.name }}}\nspec: {}\n", 3),
    "unknown-variable": (listed("description: ${{ variables.x }}"), 0),
    "no-name": (HEAD.encode() + b"metadata: {}\nspec: {}\n", 3),
    "no-spec": (HEAD.encode() + b"metadata: {name: x}\n", 0),
    "spec-is-a-list": (cluster("[]"), 4),
    "unknown-kind": (SOUND.replace("NestedCluster", "NestedClusters").encode(), 2),
    "unknown-version": (SOUND.replace("v1alpha1", "v9").encode(), 1),
    "unclosed": (HEAD.encode() + b"metadata: {name: x\n", 0),
    "tab": (HEAD.encode() + b"metadata:\n\tname: x\n", 4),
    "missing-profile": (listed("profiles: [{name: nowhere, version: 1.0.0}]").replace(b"x}", b"lonely}"), 5),
    "kube-system": (cluster("{profiles: 3}", "kube-system"), 0),
}
SILENT: dict[str, bytes] = {  # not ours, or sound: no mistake, no crash
    "empty": b"",
    "byte-order-mark": b"\xef\xbb\xbf" + SOUND.replace("sound", "bom").encode(),
    "windows-lines": SOUND.replace("sound", "crlf").replace("\n", "\r\n").encode(),
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "kubeconfig": b"apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: canary}}]\n",
    "crd": b"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n",
    "role": b"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nrules: [{verbs: ['*']}]\n",
    "helm": b"{{- if .Values.x }}\na: b\n{{- end }}\n",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One repository with all of them, validated once: a wrong file must not hide another's mistakes."""
    folder = tmp_path_factory.mktemp("zoo")
    for name, data in {**{name: data for name, (data, _) in FILES.items()}, **SILENT}.items():
        (folder / f"{name}.yaml").write_bytes(data)
    (folder / "sound.yaml").write_text(SOUND)
    (folder / "passwd.yaml").symlink_to("/etc/passwd")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "a-folder.yaml").mkdir()
    (folder / "a-folder.yaml" / "inner.yaml").write_bytes(cluster("[]"))
    (folder / "-dash.yaml").write_text(SOUND)
    (folder / "new\nline.yaml").write_text(SOUND)
    (folder / os.fsdecode(b"latin-\xe9.yaml")).write_text(SOUND)
    with (folder / "giant.yaml").open("wb") as giant:
        giant.write(b"# nidus.dev/\n")
        giant.truncate(100 << 20)
    command = [sys.executable, "-m", "reconciler", "validate", str(folder), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def of(report: dict[str, Any], path: str) -> list[dict[str, Any]]:
    return [one for one in report["violations"] if one["path"] == path]


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_told(report: dict[str, Any], name: str) -> None:
    told = of(report, f"{name}.yaml")
    assert told
    assert [one for one in told if not one["message"] or not one["code"].startswith("NID")] == []
    line = FILES[name][1]
    assert not line or line in {one["line"] for one in told}, told
    assert [one for one in told if one["line"] and not one["column"]] == []


@pytest.mark.parametrize("name", SILENT)
def test_what_is_not_ours_or_sound_is_no_mistake(report: dict[str, Any], name: str) -> None:
    assert of(report, f"{name}.yaml") == []


@pytest.mark.parametrize(
    "path",
    [
        "passwd.yaml",
        "loop.yaml",
        "a-folder.yaml/inner.yaml",
        "-dash.yaml",
        "new\\nline.yaml",
        "latin-\\\\xe9.yaml",
        "giant.yaml",
    ],
)
def test_a_wrong_entry_is_told_and_never_followed(report: dict[str, Any], path: str) -> None:
    assert of(report, path)


def test_what_is_sound_stays_sound_and_nothing_secret_is_shown(report: dict[str, Any]) -> None:
    assert of(report, "sound.yaml") == []
    assert report["clusters"] == 3  # sound, bom, crlf
    assert "canary" not in json.dumps(report) and "root:" not in json.dumps(report)
