"""Fields that Kubernetes does not have, in manifests of packs: warned of where they stand."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from reconciler.__main__ import main
from reconciler.model import ManifestsPack, Pack
from reconciler.spec import fieldnames, uses
from tests.memory import fieldnames as table
from tests.spec_cases import FILES, snapshot

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      containers:
        - name: front
          imgae: nginx
"""


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def pod(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", **more}]},
    }


def test_the_table_is_what_the_api_server_says() -> None:
    assert table.STORED.read_text() == table.made()


@pytest.mark.parametrize(
    ("body", "place", "hint"),
    [
        (pod(imgae="x"), "spec.containers[0].imgae", "did you mean image?"),
        (
            pod(ports=[{"containerport": 80}]),
            "spec.containers[0].ports[0].containerport",
            "did you mean containerPort?",
        ),
        (deployment(replica=2), "spec.replica", "did you mean replicas?"),
        (deployment(containers=[]), "spec.containers", "it belongs into spec.template.spec"),
        (deployment() | {"replicas": 2}, "replicas", "it belongs into spec"),
        (deployment() | {"metadata": {"lables": {}}}, "metadata.lables", "did you mean labels?"),
        (pod(zzz=1), "spec.containers[0].zzz", "known here: args, command, env"),
    ],
)
def test_an_unknown_field_is_told_with_what_was_meant(body: dict[str, Any], place: str, hint: str) -> None:
    ((where, message, fix),) = fieldnames.unknown(body)
    assert fieldnames.written(where) == place
    assert message == f"unknown field {place}"
    assert fix.startswith(hint)


@pytest.mark.parametrize(
    "body",
    [
        {"apiVersion": "example.io/v1", "kind": "Deployment", "anything": 1},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"annotations": {"a/b": ""}}, "data": {"any": ""}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "spec": {"containers": "${{ variables.all }}", "nodeSelector": {"a/b": "c"}},
        },
        pod(resources={"limits": {"example.com/gpu": 1}}, **{"${{ variables.name }}": 1}),
        {"apiVersion": ["v1"], "kind": {}},
        None,
    ],
)
def test_what_takes_any_name_and_what_is_no_object_is_not_judged(body: Any) -> None:
    assert list(fieldnames.unknown(body)) == []


def test_many_unknown_fields_are_told_of_the_first_ones() -> None:
    assert len(list(fieldnames.unknown(pod(**{f"x{number}": 1 for number in range(5000)})))) == 20


def test_a_file_and_an_object_in_the_profile_are_warned_of_at_the_name() -> None:
    written = "manifests: {files: [web/*.yaml]}"
    profile = FILES["profiles/web.yaml"].replace('manifests: {files: ["web/*.yaml"]}', written)
    inline = "\n".join(
        [
            "      manifests:",
            "        files: [web/*.yaml]",
            "        objects:",
            "          - {apiVersion: v1, kind: Service, metadata: {name: front}, spec: {port: []}}",
        ]
    )
    profile = profile.replace(f"      {written}", inline)
    found = snapshot({**FILES, "profiles/web.yaml": profile, "profiles/web/front.yaml": DEPLOYMENT})[0]
    assert found.violations == () and found.specs.clusters
    told = [(one.path, one.line, one.column, one.code, one.message, one.hint) for one in found.warnings]
    assert told == [
        ("profiles/web.yaml", 16, 77, "NID198", "Service front: unknown field spec.port", "did you mean ports?"),
        (
            "profiles/web/front.yaml",
            11,
            11,
            "NID198",
            "Deployment front: unknown field spec.template.spec.containers[0].imgae",
            "did you mean image?",
        ),
    ]


def test_validate_warns_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in {**FILES, "profiles/web/front.yaml": DEPLOYMENT}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert main(["validate", str(tmp_path), "--no-render", "-o", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["warnings"]
    assert (told["path"], told["line"], told["hint"]) == ("profiles/web/front.yaml", 11, "did you mean image?")


def test_hints_are_looked_for_once_and_for_what_is_told_alone() -> None:
    """To look for one takes time, and a document may have as many wrong names as bytes. Before: for all, at every commit."""

    class Wrong(dict[str, Any]):
        looked = 0

        def items(self) -> Any:
            Wrong.looked += 1
            return super().items()

    objects = tuple(Wrong(deployment() | {f"x{number}": 1}) for number in range(2 * fieldnames.TOLD))
    found = uses.doubts(0, Pack("web", manifests=ManifestsPack(objects=objects)))
    assert len(list(islice(found, fieldnames.TOLD))) == Wrong.looked == fieldnames.TOLD

    written = 'manifests: {files: ["web/*.yaml"]}'
    many = "\n".join(f"          - {json.dumps(one)}" for one in objects)
    inline = f"manifests:\n        files: [web/*.yaml]\n        objects:\n{many}"
    files = {**FILES, "profiles/web.yaml": FILES["profiles/web.yaml"].replace(written, inline)}
    first, known = snapshot(files)
    assert len(first.warnings) == fieldnames.TOLD
    key = next(iter(known.profiles))
    again = snapshot(
        {
            **files,
            "profiles/web/more.yaml": json.dumps(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}
            ),
        },
        known,
    )[1]
    assert again.profiles[key] is not known.profiles[key]
    assert again.profiles[key].doubts is known.profiles[key].doubts
