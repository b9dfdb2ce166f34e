"""`nidus check`: whether Nidus is in order on this host, one line each, with what to do where something is not."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from reconciler.errors import ApiError, ErrorClass, printable, short
from reconciler.verbs import connection, known, mistakes, overview, seen, table, usage

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Object
    from reconciler.report.view import SourceView

EXAMPLES = (("", "is everything in order?"), ("-o json", "for programs"))
KINDS = {"Source": "sources", "NestedCluster": "nestedclusters", "Request": "requests"}
GROUP = "nidus.dev"
MISSING = "not installed"
WELL: Final = "ok"
NOTE: Final = "note"
WRONG: Final = "wrong"
RIGHTS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "status, why, wait": (("list", GROUP, "nestedclusters", ""), ("list", GROUP, "sources", "")),
    "events": (("list", "events.k8s.io", "events", ""),),
    "plan": (("list", "", "configmaps", ""), ("list", GROUP, "requests", "")),
    "approve, suspend, resume": (("create", GROUP, "requests", ""), ("approve", GROUP, "nestedclusters", "")),
    "sync": (("patch", GROUP, "sources", ""), ("get", "coordination.k8s.io", "leases", "nidus")),
    "logs": (("list", "", "pods", ""), ("get", "", "pods/log", "")),
}
"""Verb -> the rights it needs in the controller's namespace: (verb, group, resource, name)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="how to print (default: table)"
    )
    connection.add_arguments(parser)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ok, note (nothing is wrong, or it cannot be seen) or wrong, and what to do."""

    what: str
    state: Literal["ok", "note", "wrong"]
    text: str
    advice: str = ""


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where nothing is wrong, else 1."""
    found = list(gathered(connection.connect(args), args.namespace, time.time()))
    if args.output == "table":
        print(rendered(found, table.columns()))
    else:
        print(table.document({"findings": [asdict(one) for one in found]}, args.output))
    return usage.FAILED if any(one.state == WRONG for one in found) else usage.DONE


def gathered(client: Client, namespace: str, now: float) -> Iterator[Finding]:
    """Look at everything. Where the kinds are not installed, nothing else is looked at. Raises ApiError for a dead host."""
    from reconciler import __version__

    yield Finding("versions", WELL, f"nidus {__version__}, host {client.version()}")
    kinds = list(_kinds(client))
    yield from kinds
    if any(one.text == MISSING for one in kinds):
        return
    yield _controller(client, namespace)
    yield from _rights(client, namespace)
    try:
        found = seen.read(client, namespace)
    except ApiError as error:
        yield Finding("status", WRONG, f"cannot be read: {error.message}", "bind Role nidus-reviewer to this account")
        return
    yield from _sources(found, now)
    yield _rendering(found)
    yield _clusters(found)
    yield from _exposures(found)
    yield from _troubles(found)


def rendered(found: list[Finding], width: int = 0) -> str:
    """One line each; what to do stands below."""
    words = {WELL: "Ready", NOTE: "Waiting", WRONG: "Failed"}
    lines = []
    for one in found:
        lines.append(table.coloured(table.wrapped(f"{one.state:<6} {one.what}: {one.text}", width), words[one.state]))
        lines += [table.wrapped(f"fix: {one.advice}", width, indent=7)] if one.advice else []
    return "\n".join(lines)


def _kinds(client: Client) -> Iterator[Finding]:
    """The kinds of Nidus: served, and as this version writes them where this account may see that."""
    from reconciler.model import ObjectRef
    from schemas import crds

    wanted = {body["spec"]["names"]["kind"]: body for body in crds.definitions().values()}
    for kind, plural in KINDS.items():
        what, ref = (
            f"kind {kind}",
            ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", f"{plural}.{GROUP}"),
        )
        try:
            client.resource(GROUP, kind)
            live = client.get(ref)
        except ApiError as error:
            if error.kind is ErrorClass.KIND_MISSING:
                yield Finding(what, WRONG, MISSING, "kubectl apply -f deploy/crds; or --context names another cluster")
            elif error.kind is ErrorClass.KIND_UNREAD:
                yield Finding(what, NOTE, f"whether it is served cannot be seen: {error.message}")
            else:
                yield Finding(what, NOTE, f"served; whether it is current cannot be seen ({error.reason})")
            continue
        lacks = _lacking(_schema(wanted[kind]), _schema(live)) if live is not None else ""
        if lacks:
            yield Finding(what, WRONG, f"of another version: it lacks {lacks}", "kubectl apply -f deploy/crds")
        else:
            yield Finding(what, WELL, "served and current")


def _schema(definition: Object) -> Any:
    versions = definition["spec"]["versions"]
    return next((one.get("schema", {}).get("openAPIV3Schema") for one in versions if one["name"] == "v1alpha1"), None)


def _lacking(wanted: Any, live: Any, path: str = "") -> str:
    """The first field that a schema lacks of what is wanted; "" for none."""
    there = live.get("properties") if isinstance(live, dict) else None
    for name, below in (wanted.get("properties") or {}).items():
        at = f"{path}.{name}"
        if not isinstance(there, dict) or name not in there:
            return at
        if found := _lacking(below, there[name], at) or _lacking(
            below.get("items") or {}, there[name].get("items"), at
        ):
            return found
    return ""


def _controller(client: Client, namespace: str) -> Finding:
    try:
        alive, told = known.controller(client, namespace)
    except ApiError as error:
        return Finding(
            "controller", NOTE, f"cannot be seen: {error.message}", "bind Role nidus-reviewer to this account"
        )
    if alive:
        return Finding("controller", WELL, told)
    return Finding("controller", WRONG, told, f"kubectl -n {namespace} get pods; nidus logs")


def _rights(client: Client, namespace: str) -> Iterator[Finding]:
    """What this account may do with the verbs."""
    from reconciler.kube import review

    able: list[str] = []
    unable: list[str] = []
    for verbs, rights in RIGHTS.items():
        try:
            lacks = [one for one in rights if not review.may(client, one[0], one[1], one[2], namespace, one[3])]
        except ApiError as error:
            yield Finding("rights", NOTE, f"cannot be asked: {error.message}")
            return
        (unable if lacks else able).append(verbs)
    yield Finding("rights", WELL, f"this account may {', '.join(able) or 'nothing'}")
    if unable:
        yield Finding(
            "rights", NOTE, f"this account may not {', '.join(unable)}", "Roles nidus-reviewer and nidus-operator"
        )


def _sources(found: seen.Seen, now: float) -> Iterator[Finding]:
    if not found.sources:
        yield Finding(
            "sources", WRONG, "there is none", "spec.sources of the controller's configuration; has it started?"
        )
    for name, one in sorted(found.sources.items()):
        yield _source(name, one, now)


def _source(name: str, one: SourceView, now: float) -> Finding:
    fetched = f", last fetched {table.age(now - one.fetched)} ago" if one.fetched else ""
    if one.error:
        return Finding(
            f"source {name}", WRONG, one.error + fetched, "its URL, credentials and branch in the configuration"
        )
    if one.violation_count:
        first = one.violations[0] if one.violations else None
        told = f"; the first: {first.path}:{first.line}: {first.message}" if first else ""
        return Finding(
            f"source {name}",
            WRONG,
            f"{mistakes.count(one.violation_count, 'mistake')}{told}",
            "nidus validate in its repository",
        )
    return Finding(f"source {name}", WELL, f"{short(one.revision) or 'not read yet'}, {one.accepted} clusters")


def _rendering(found: seen.Seen) -> Finding:
    told = overview.renders(found.sources.values())
    if not told:
        return Finding("rendering", NOTE, "what confines it is not known yet")
    return Finding("rendering", WRONG if told.startswith("stopped") else WELL, told)


def _clusters(found: seen.Seen) -> Finding:
    words = Counter(one.word or "Pending" for one in found.clusters.values())
    engines = sorted({one.versions.engine for one in found.clusters.values()} - {""})
    exposed = sum(bool(one.endpoint) for one in found.clusters.values())
    parts = [f"{count} {word}" for word, count in sorted(words.items())]
    parts += [f"engine {', '.join(engines)}"] if engines else []
    parts += [f"{exposed} with an endpoint"] if exposed else []
    bad = sorted(name for name, one in found.clusters.items() if one.word in ("Degraded", "Invalid"))
    held = sorted(name for name, one in found.clusters.items() if one.word == "Held")
    state: Literal["ok", "note", "wrong"] = WRONG if bad else NOTE if held else WELL
    advice = f"nidus why {(bad or held)[0]}" if bad or held else ""
    return Finding("clusters", state, printable(", ".join(parts)) or "there is none", advice)


def _exposures(found: seen.Seen) -> Iterator[Finding]:
    """Each cluster that nobody outside reaches, with what is in the way; nothing where none is exposed."""
    told = {
        name: condition
        for name, one in sorted(found.clusters.items())
        for condition in one.conditions
        if condition.type == "Exposed" and condition.reason != "Asleep"
    }
    reached = sum(one.status == "True" for one in told.values())
    for name, one in told.items():
        if one.status != "True":
            fact, _, advice = one.message.partition("; ")
            state: Literal["note", "wrong"] = WRONG if one.status == "False" else NOTE
            yield Finding(f"exposure of {name}", state, f"{printable(fact)} ({one.reason})", printable(advice))
    if reached:
        yield Finding("exposure", WELL, f"{reached} of {len(told)} exposed clusters answer at their address")


def _troubles(found: seen.Seen) -> Iterator[Finding]:
    """Kubeconfigs that are not made, and volumes that do not grow, which keep no cluster from being Ready."""
    for name, one in sorted(found.clusters.items()):
        given, storage = one.life.kubeconfigs, one.life.storage
        if given is not None and given.problem:
            yield Finding(
                f"kubeconfigs of {name}", WRONG, printable(given.problem), "spec.access.kubeconfigs of its file"
            )
        if storage is not None and storage.problem:
            advice = "the size of before, or a StorageClass with allowVolumeExpansion"
            yield Finding(f"volumes of {name}", WRONG, printable(storage.problem), advice)
