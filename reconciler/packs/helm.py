"""Pack kind `helm`: a chart from the repository (or the operator's own), rendered offline by Helm's SDK.

Runs in a worker process only. The SDK's `render` changes the chart it is given (a subchart switched off is gone for the
next render), so a chart is loaded afresh for every render.
"""

import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from helm_python import Chart, HelmError, _native, validate_release_name

from reconciler.errors import Stalled
from reconciler.packs import archives, charthooks, freeze, loader, provenance, schemas, sealed, signed
from reconciler.packs.objects import Sourced
from reconciler.packs.values import layered
from reconciler.packs.wire import Job
from reconciler.plan import apart, sensitive

_DEFAULT_NAMESPACE = "default"
_MESSAGE = 600
_SHOWN = 5
_UNFIT = "values don't meet the specifications of the schema"  # Helm's words
_VALUES = "set it under helm.values of the pack, or under values of the cluster's use of the profile"
_SENSITIVE = "put it into a Secret of a pack before, and name that Secret in the values (often existingSecret)"
_MADE_UP = (
    "a template makes up a password, a certificate or a date: set the value it comes from, name a Secret that exists in the "
    "cluster (often existingSecret), or keep what it makes up first: random: Freeze"
)


def render(job: Job) -> list[Sourced]:
    """The chart's CRDs, then its objects and the hooks that are run, each with the file it comes from; no notes, no tests.

    Raises Stalled: RenderFailed, ChartInvalid, HooksRefused (lists them), NonDeterministicChart, KubeVersionUnsupported,
    DecryptionFailed, ObjectRefused, ChartUntrusted.
    """
    _verify(job)
    files = archives.repacked(_chart_files(job), schemas.check)
    values = layered(job)
    if sensitive.outside(values.tree):
        raise Stalled("a sensitive variable stands in the values of a chart", reason="RenderFailed", hint=_SENSITIVE)
    with sealed.hidden(values.secret):
        found = _rendered(files, values.tree, job)
    sealed.judge(found, values.secret)
    return found


def _rendered(files: Mapping[str, bytes], values: Mapping[str, Any], job: Job) -> list[Sourced]:
    """Twice where it is to be told what a chart makes up."""
    with tempfile.TemporaryDirectory(prefix="nidus-chart-") as folder:
        _write(Path(folder), files)
        try:
            first = _print(folder, values, job)
            second = _print(folder, values, job) if job.twice or job.spec.get("random") == "Freeze" else first
        except HelmError as error:
            raise _failed(error, folder) from None
    hooks = str(job.spec.get("hooks", "Refuse"))
    kept = _kept(first, hooks)
    if job.spec.get("random") == "Freeze":
        return _frozen(kept, _kept(second, hooks), job)
    if first != second and kept != (again := _kept(second, hooks)):
        raise _unlike(kept, again)
    return kept


def _frozen(kept: list[Sourced], again: list[Sourced], job: Job) -> list[Sourced]:
    """The documents with what was made up before. Where the job says what that is, the last one says what is to be stored."""
    try:
        documents, values = freeze.frozen_documents(kept, again, job.spec.get("frozen") or {})
    except freeze.Unlike:
        raise _unlike(kept, again) from None
    return [*documents, freeze.document(values)] if "frozen" in job.spec else documents


def _kept(printed: Mapping[str, str], hooks: str) -> list[Sourced]:
    """What of a render becomes objects. Only that is compared for determinism (K8)."""
    return list(charthooks.kept(_documents(printed), hooks))


def _verify(job: Job) -> None:
    """Before anything of the chart is read. Raises Stalled(ChartUntrusted)."""
    if asked := job.spec.get("verify"):
        chart, vouching = job.spec["elsewhere"]
        keys, proof = job.files[asked["keys"]], job.files[vouching]
        if asked["by"] == "signature":
            signer = signed.Signer(keys, **asked.get("identity", {}))
            signed.check(proof, asked["digest"], signer, chart)
        else:
            provenance.check((asked["archive"], job.files[chart]), proof, keys, chart)


def _chart_files(job: Job) -> dict[str, bytes]:
    """The chart's files by their path inside the chart."""
    if elsewhere := job.spec.get("elsewhere"):
        return archives.unpacked(elsewhere[0], job.files[elsewhere[0]])
    base = str(job.spec.get("chart", "")).strip("/")
    prefix = f"{base}/" if base and base != "." else ""
    files = {path.removeprefix(prefix): data for path, data in job.files.items() if path.startswith(prefix)}
    if "Chart.yaml" not in files:
        raise Stalled(f"{base or 'the chart'} has no Chart.yaml", reason="ChartInvalid")
    return files


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise Stalled(f"{name}: a chart's files lie inside the chart", reason="ChartInvalid")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _print(folder: str, values: Mapping[str, Any], job: Job) -> dict[str, str]:
    """One render: path inside the chart -> text; CRDs come first."""
    release = str(job.spec.get("release", ""))
    validate_release_name(release)
    with Chart.load(folder) as chart:
        _check(chart, job.host_version, str(job.spec.get("version", "")))
        options: dict[str, Any] = {
            "name": release,
            "namespace": job.namespace or _DEFAULT_NAMESPACE,
            "kube_version": job.host_version,
            "api_versions": list(job.api_versions),
        }
        printed = {crd["filename"]: crd["data"] for crd in chart.crds}
        text = _native.call_string("helm_render", chart._raw(), json.dumps(values), json.dumps(options))
        rendered: dict[str, str] = json.loads(text)
        return printed | {path: rendered[path] for path in sorted(rendered)}


def _check(chart: Chart, host_version: str, version: str) -> None:
    """What Helm's install checks before it renders: type, dependencies and kubeVersion (the SDK's render does not); and that a chart
    from elsewhere is the `version` that it is taken for."""
    metadata = chart.metadata
    if version and str(metadata.get("version")) != version:
        raise Stalled(f"the chart is version {metadata.get('version')}, and not {version}", reason="ChartInvalid")
    if metadata.get("type", "application") not in ("application", ""):
        raise Stalled(f"chart {chart.name} is a {metadata['type']} chart: it has no objects", reason="ChartInvalid")
    present = {str(found.get("name")) for found in chart.dependencies}
    missing = sorted({str(wanted.get("name")) for wanted in metadata.get("dependencies") or ()} - present)
    if missing:
        names = ", ".join(missing)
        hint = "nothing is fetched at render time: commit them below charts/ (helm dependency update; a .gitignore may hide them)"
        raise Stalled(
            f"chart {chart.name} depends on {names}, not in its charts/ folder", reason="ChartInvalid", hint=hint
        )
    constraint = str(metadata.get("kubeVersion") or "")
    if constraint and not _supports(constraint, host_version):
        message = f"chart {chart.name} wants Kubernetes {constraint}, the target runs {host_version}"
        raise Stalled(message, reason="KubeVersionUnsupported")


@functools.lru_cache(maxsize=256)
def _supports(constraint: str, version: str) -> bool:
    """Whether `version` is inside a Chart.yaml `kubeVersion`, in Helm's own words: its template function decides."""
    with tempfile.TemporaryDirectory(prefix="nidus-chart-") as folder:
        chart = {
            "Chart.yaml": b"apiVersion: v2\nname: version\nversion: 1.0.0\n",
            "templates/answer": b"{{ semverCompare .Values.constraint .Values.version }}",
        }
        _write(Path(folder), chart)
        with Chart.load(folder) as loaded:
            text = loaded.render({"constraint": constraint, "version": version})["version/templates/answer"]
    return text == "true"


def _documents(printed: Mapping[str, str]) -> Iterator[Sourced]:
    for path, text in printed.items():
        if not path.endswith("/NOTES.txt") and text.strip():
            yield from ((path, document) for document in loader.load(text, path))


def _unlike(first: list[Sourced], second: list[Sourced]) -> Stalled:
    """Names what differs, never a value: it may be a password."""
    after = {_place(one): one for one in second}
    places = {_place(one): one for one in (*second, *first) if one not in first or one not in second}
    told = sorted({_varying(one, after.get(place)) for place, one in places.items()})
    names = "; ".join(told[:_SHOWN]) or "the order of its objects"
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    message = f"the chart renders differently every time: {names}{more}"
    return Stalled(message, reason="NonDeterministicChart", hint=_MADE_UP)


def _place(one: Sourced) -> tuple[str, str]:
    """The template and the object: its kind and name."""
    path, document = one
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return path, f"{document.get('kind')} {metadata.get('name')}" if isinstance(metadata, dict) else ""


def _varying(one: Sourced, again: Sourced | None) -> str:
    path, name = _place(one)
    if again is None or again == one:  # the name itself is made up, or the object is there in one of the renders only
        return f"the objects of {path}"
    where, _, _, more = apart.first("", one[1], again[1])
    return f"{where.lstrip('.')}{f' and {more} more' if more else ''} of {name} in {path}"


def _failed(error: HelmError, folder: str) -> Stalled:
    """Helm's own message without our temporary path; of a long one the beginning and the end, where the cause is."""
    text = " ".join(str(error.detail).replace(f"{folder}/", "").replace(folder, "the chart").split())
    hint = _VALUES if _UNFIT in text else ""
    if len(text) > _MESSAGE:
        text = f"{text[: _MESSAGE // 2]} ... {text[-_MESSAGE // 2 :]}"
    return Stalled(text, reason="RenderFailed", hint=hint)
