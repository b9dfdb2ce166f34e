"""`nidus status`: sources first, then nested clusters, from the status objects on the home cluster; needs no controller running."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reconciler.verbs import connection, known, table

if TYPE_CHECKING:
    from reconciler.kube.client import Client

Item = Mapping[str, Any]


EXAMPLES = (
    ("", "everything at a glance"),
    ("team-a", "one nested cluster with its layers"),
    ("-o wide", "with messages"),
    ("-w", "until Ctrl-C"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", help="one nested cluster, with its layers")
    parser.add_argument("-o", "--output", choices=("wide", "json", "yaml", "name"), default="", help="another form")
    parser.add_argument(
        "-w", "--watch", action="store_true", help="print again whenever something changes, until Ctrl-C"
    )
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where NAME does not exist."""
    client = connection.connect(args)
    shown = ""
    while True:
        text, found, version = _text(client, args)
        if text != shown:
            print(text, flush=True)
            shown = text
        if not args.watch:
            return 0 if found else 1
        _wait(client, args.namespace, version)


def _text(client: Client, args: argparse.Namespace) -> tuple[str, bool, str]:
    """What to print, whether NAME exists, and the resourceVersion of the list of nested clusters."""
    sources, _ = known.listed(client, "Source", args.namespace)
    clusters, version = known.listed(client, "NestedCluster", args.namespace)
    if not sources and not clusters:
        _check_installed(client, args.namespace)
    if args.name:
        there = known.names(clusters)
        clusters = [item for item in clusters if item["metadata"]["name"] == args.name]
        if not clusters:
            told = f"no nested cluster {args.name} in namespace {args.namespace}; {known.instead(args.name, there)}"
            return told, False, version
    text = _form(sources, clusters, args)
    if args.name or args.output not in ("", "wide"):
        return text, True, version
    head = "\n".join(filter(None, (_leader(client, args.namespace), _renders(sources))))
    return f"{head}\n\n{text}".lstrip(), True, version


def _leader(client: Client, namespace: str) -> str:
    """Which controller leads, from the Lease; "" where this user may not read it."""
    from reconciler.errors import ApiError

    try:
        return f"CONTROLLER  {known.controller(client, namespace)[1]}"
    except ApiError:
        return ""


def _check_installed(client: Client, namespace: str) -> None:
    """Raise Stalled where nothing is there, and never was a controller: it is another namespace, or another cluster."""
    from reconciler.errors import ApiError, Stalled

    with suppress(ApiError):
        if known.lease(client, namespace) is None:
            message = f"nothing here: namespace {namespace} has no source, no nested cluster and no controller"
            raise Stalled(message, hint="is Nidus installed here? -n and --context name another namespace or cluster")


def _renders(sources: Sequence[Item]) -> str:
    """What keeps the render workers from the network, as the controller says of itself; "" where it does not."""
    said = {str((item.get("status") or {}).get("renderWorkers") or "") for item in sources} - {""}
    if "none" in said:
        from reconciler.packs.process import ALLOW, NOT_CONFINED

        return f"RENDERING   stopped: {NOT_CONFINED}; {ALLOW}"
    return f"RENDERING   without network: {', '.join(sorted(said))}" if said else ""


def _form(sources: Sequence[Item], clusters: Sequence[Item], args: argparse.Namespace) -> str:
    if args.output in ("json", "yaml"):
        return _document(sources, clusters, args.output)
    if args.output == "name":
        return "\n".join(f"nestedcluster.nidus.dev/{item['metadata']['name']}" for item in clusters)
    shown = _clusters(clusters, wide=args.output == "wide")
    width = table.columns()
    return "\n\n".join([shown, _detail(clusters[0], width)] if args.name else [_sources(sources, width), shown])


def _sources(items: Sequence[Item], width: int = 0) -> str:
    rows, notes = [], []
    for item in items:
        status = item.get("status") or {}
        errors, error = int(status.get("violationCount", 0)), str(status.get("error") or "")
        state = error.partition(":")[0] or (_count(errors, "error") if errors else "ok")
        name = item["metadata"]["name"]
        rows.append(
            (name, _short(status.get("revision", "")), str(status.get("accepted", 0)), state, status.get("trigger", ""))
        )
        notes += _notes(status)
    text = table.render(("SOURCE", "REVISION", "CLUSTERS", "STATE", "TRIGGER"), rows)
    return "\n".join([text, *(table.wrapped(note, width, indent=2) for note in notes)])


def _notes(status: Item) -> list[str]:
    """What is wrong with a source, one line each: why it cannot be read and since when, its mistakes, what is held."""
    notes = [_with_age(status)] if status.get("error") else []
    notes += [
        f"{v['file']}:{v['line']}:{v['column']}: {v['code']} {v['message']}" for v in status.get("violations", ())
    ]
    if status.get("held"):
        notes.append("; ".join([f"held: {status['held']['message']}", *_approval(status["held"].get("digest", ""))]))
    return notes


def _with_age(status: Item) -> str:
    """Why the source cannot be read, and when it was last fetched."""
    fetched = known.seconds(status.get("fetched"))
    return f"{status['error']} (last fetched {_since(fetched)} ago)" if fetched else str(status["error"])


def _since(at: float) -> str:
    import time

    return table.age(time.time() - at)


def _clusters(items: Sequence[Item], wide: bool) -> str:
    header = ["NAME", "HOST", "VERSION", "READY", "STATUS", "REVISION", "AGE"]
    if wide:
        header += ["ENDPOINT", "FILE", "MESSAGE"]
    rows = [_row(item, wide) for item in items]
    text = table.render(header, rows)
    lines = text.split("\n")
    return "\n".join([lines[0], *(table.coloured(line, row[4]) for line, row in zip(lines[1:], rows, strict=True))])


def _row(item: Item, wide: bool) -> list[str]:
    status = item.get("status") or {}
    ready = _condition(item, "Ready")
    version = (status.get("versions") or {}).get("kubernetes", "")
    revision = _short((status.get("revision") or {}).get("applied", ""))
    row = [
        item["metadata"]["name"],
        "local",
        version,
        ready.get("status", ""),
        status.get("status", "Pending"),
        revision,
        _age(item),
    ]
    if wide:
        row += [status.get("endpoint", ""), (item.get("spec") or {}).get("file", ""), ready.get("message", "")]
    return row


def _detail(item: Item, width: int = 0) -> str:
    status = item.get("status") or {}
    layers = [
        (layer["name"], layer["target"], layer["health"], str(layer.get("objects", 0)), layer.get("message", ""))
        for layer in status.get("layers", ())
    ]
    shown = table.with_message(("LAYER", "TARGET", "HEALTH", "OBJECTS", "MESSAGE"), layers, width)
    lines = [_condition_line(one) for one in status.get("conditions", ())]
    plan = status.get("plan") or {}
    lines += [f"held: {line}" for line in plan.get("held", ())]
    lines += _approval(plan.get("digest", ""))
    return "\n".join([*([shown] if layers else []), *(table.wrapped(line, width) for line in lines)])


def _condition_line(one: Item) -> str:
    """A condition, for how long it has had this status, and its message."""
    since = known.seconds(one.get("lastTransitionTime"))
    age = f" ({_since(since)})" if since else ""
    return f"{one['type']}={one['status']} {one['reason']}{age}" + (f": {one['message']}" if one["message"] else "")


def _document(sources: Sequence[Item], clusters: Sequence[Item], form: str) -> str:
    body = {"sources": [_plain(item) for item in sources], "clusters": [_plain(item) for item in clusters]}
    if form == "yaml":
        import yaml

        return yaml.safe_dump(body, sort_keys=False).rstrip()
    import json

    return json.dumps(body, indent=2)


def _plain(item: Item) -> dict[str, Any]:
    return {"name": item["metadata"]["name"], "spec": item.get("spec") or {}, "status": item.get("status") or {}}


def _condition(item: Item, kind: str) -> Item:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _short(revision: str) -> str:
    """main@sha1:0123456789abcdef... -> main@sha1:0123456"""
    head, mark, commit = revision.partition("@sha1:")
    return f"{head}{mark}{commit[:7]}" if mark else revision


def _approval(digest: str) -> list[str]:
    return [f"to allow it: nidus approve {digest[:12]}"] if digest else []


def _age(item: Item) -> str:
    import calendar
    import time

    created = item["metadata"].get("creationTimestamp", "")
    return table.age(time.time() - calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))) if created else ""


def _wait(client: Client, namespace: str, version: str) -> None:
    """Wait until a nested cluster changes after `version`, at most a minute, because ages change too."""
    events = client.watch("nidus.dev", "NestedCluster", since=version, namespace=namespace, seconds=55, silence=60.0)
    try:
        next(iter(events), None)
    finally:
        events.stop()
