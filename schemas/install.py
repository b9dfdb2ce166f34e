"""How Nidus is installed: `python -m schemas.install` writes what is made from other files.

The chart (deploy/chart) has its own templates for the controller. Its rights, policies and kinds are those of deploy/rbac.yaml,
deploy/crds and deploy/quota.yaml, with the release's namespace and the values in their places; its schema holds the one of the
configuration. deploy/install.yaml is the chart, rendered: what `kubectl apply` takes.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import schemas

Json = dict[str, Any]
DEPLOY = Path(__file__).parent.parent / "deploy"
CHART = DEPLOY / "chart"
NAMESPACE = "nidus-system"
RELEASE = "nidus"
INSTALL: Json = {"namespace": {"create": True}, "policies": {"domain": ""}}
"""The values of install.yaml: whoever applies it has no namespace yet, and changes dnsPattern in its ConfigMap."""
HEADER = "# Made by `python -m schemas.install`; change deploy/{} instead.\n"
_FIRST = ("Namespace", "CustomResourceDefinition")
_LAST = ("Deployment",)
_GIVEN = ("namespace", "shareNamespace", "host")
"""What the chart says of the configuration itself, or what makes no sense in a pod."""
_GROUP = "  - {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: nidus-{}}}"
_VALUES = (
    (NAMESPACE, "{{ .Release.Namespace }}", 0),
    (
        "  labels: {app.kubernetes.io/part-of: nidus}\n---\n# The controller over the whole host",
        "  labels: {app.kubernetes.io/part-of: nidus}\n  {{- with .Values.serviceAccountAnnotations }}\n  annotations:\n"
        "    {{- toYaml . | nindent 4 }}\n  {{- end }}\n---\n# The controller over the whole host",
        1,
    ),
    (_GROUP.format("operators"), "  {{- toYaml .Values.people.operators | nindent 2 }}", 1),
    (_GROUP.format("reviewers"), "  {{- toYaml .Values.people.reviewers | nindent 2 }}", 1),
    (
        'expression: >-\n        ""\n    - name: certified\n',
        'expression: >-\n        {{ kindIs "invalid" .Values.policies.domain'
        ' | ternary (trimPrefix "*" (dig "policy" "dnsPattern" "" .Values.config)) .Values.policies.domain | toJson }}\n'
        "    - name: certified\n",
        1,
    ),
)
"""(text of rbac.yaml, what stands for it in the chart, how often it is there; 0: wherever it is)."""


def chart() -> dict[Path, str]:
    """File -> text, of what is made in the chart's folder."""
    return {
        CHART / "templates" / "crds.yaml": _crds(),
        CHART / "templates" / "rbac.yaml": _rbac(),
        CHART / "templates" / "quota.yaml": _quota(),
        CHART / "values.schema.json": json.dumps(values_schema(), indent=2) + "\n",
    }


def installed(folder: Path = CHART) -> str:
    """The text of install.yaml: the chart in that folder, rendered; namespaces and CRDs first, the Deployment last."""
    from helm_python import Chart

    with Chart.load(folder) as loaded:
        printed = loaded.render(INSTALL, name=RELEASE, namespace=NAMESPACE)
    texts = [one for name, text in sorted(printed.items()) if name.endswith(".yaml") for one in _split(text)]
    return HEADER.format("chart, rbac.yaml or crds") + "---\n".join(sorted(texts, key=_rank))


def main() -> None:
    """Writes the files."""
    for file, text in chart().items():
        file.write_text(text, encoding="utf-8")
    (DEPLOY / "install.yaml").write_text(installed(), encoding="utf-8")


def _crds() -> str:
    from schemas import crds

    texts = [text.removeprefix(crds.HEADER) for _, text in sorted(crds.render().items())]
    if any("{{" in text for text in texts):
        raise ValueError("a description would be a template of Helm's")
    return HEADER.format("../schemas/crds.py") + "---\n".join(texts)


def _rbac() -> str:
    text = (DEPLOY / "rbac.yaml").read_text(encoding="utf-8")
    for before, after, count in _VALUES:
        if before not in text or (count and text.count(before) != count):
            raise ValueError(f"deploy/rbac.yaml has not {count or 'any'} of {before!r}")
        text = text.replace(before, after)
    text = _passed(_own_namespace(text))
    return HEADER.format("rbac.yaml") + text


def _own_namespace(text: str) -> str:
    """The release's namespace is an object of the chart only where the values say so."""
    head, own, rest = re.split(r"(?m)^(apiVersion: v1\nkind: Namespace\n(?:.+\n)*?)(?=---\n)", text, maxsplit=1)
    return f"{{{{- if .Values.namespace.create }}}}\n{head}{own}{{{{- end }}}}\n{rest}"


def _passed(text: str) -> str:
    """Variable `passed` of two policies: the annotations that the operator lets tenants use."""
    for kind in ("services", "ingresses"):
        place = text.index(f"  name: nidus-engine-{kind}\n", text.index("kind: ValidatingAdmissionPolicy\n"))
        place = text.index("    - name: passed ", place)
        head, rest = text[:place], text[place:]
        text = head + rest.replace("        []\n", f"        {{{{ toJson .Values.policies.passed.{kind} }}}}\n", 1)
    return text


def _quota() -> str:
    text = (DEPLOY / "quota.yaml").read_text(encoding="utf-8").replace(NAMESPACE, "{{ .Release.Namespace }}")
    text = text.replace('"2000"', "{{ .Values.requests.quota | quote }}")
    return f"{HEADER.format('quota.yaml')}{{{{- if .Values.requests.quota }}}}\n{text}{{{{- end }}}}\n"


def values_schema() -> Json:
    """deploy/values.schema.json, with the configuration's own schema for `config` and its definitions."""
    schema: Json = json.loads((DEPLOY / "values.schema.json").read_text(encoding="utf-8"))
    configuration = copy.deepcopy(schemas.load("ControllerConfig"))
    spec = configuration["properties"]["spec"]
    spec["properties"] = {name: one for name, one in spec["properties"].items() if name not in _GIVEN}
    spec["required"] = sorted({*spec.get("required", ()), "sources"})
    schema["properties"]["config"] = spec
    schema["definitions"] = configuration["definitions"] | schema.get("definitions", {})
    return schema


def _split(text: str) -> list[str]:
    """The documents of a rendered template that hold an object, each with its comments."""
    parts = (re.sub(r"^# Made by .*\n", "", part.strip("\n")) for part in re.split(r"(?m)^---\n", text))
    return [f"{part}\n" for part in parts if re.search(r"(?m)^kind: ", part)]


def _rank(text: str) -> int:
    found = re.search(r"(?m)^kind: (\S+)", text)
    kind = found[1] if found else ""
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST) + (kind in _LAST)


if __name__ == "__main__":
    main()
