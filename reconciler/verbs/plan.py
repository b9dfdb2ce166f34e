"""`nidus plan`: what a sync would do, against the live state, by the same code (P6)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import printable
from reconciler.verbs import connection, table, usage

if TYPE_CHECKING:
    from reconciler.gather import Reader
    from reconciler.inventory.store import Loaded, State
    from reconciler.kube.client import Client
    from reconciler.model import Bundle, Content, HostFacts, Plan, Rollout, Snapshot
    from reconciler.settings import Settings

Read = Callable[[Collection[str]], dict[str, bytes]]


EXAMPLES = (
    ("", "the documents that changed in this work tree"),
    ("--config nidus.yaml --source platform", "as the controller would"),
    ("--all --detailed-exitcode", "in a pipeline"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", nargs="?", default=".", help="a folder with documents, usually a work tree (default: here)"
    )
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the controller's configuration: engines, budgets, limits"
    )
    parser.add_argument("--source", default="", help="which of its sources the folder is (default: the only one)")
    parser.add_argument("--all", action="store_true", help="plan every cluster, not only those whose documents changed")
    parser.add_argument("--detail", action="store_true", help="show unchanged objects too")
    parser.add_argument("-o", "--output", choices=("json",), default="", help="another form")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 when something would change, 3 when something is held"
    )
    connection.add_arguments(parser, namespace="")


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where the repository has mistakes or the host cannot be read; with --detailed-exitcode 2 for
    changes, 3 where something is held."""
    from reconciler.inventory.store import Store
    from reconciler.kube import edge

    told = connection.configured(args, repo="" if args.config else args.path)
    client = edge.host(told.config.host)
    facts = told.facts(client.version())
    loaded = _recalled(Store(client, told.config.namespace).load(), client, told.config.namespace)
    snapshot, accepted, read = _snapshot(args, told, facts, loaded.states)
    for one in snapshot.violations:
        print(f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}", file=sys.stderr)
    rollout, plans = _plans(args, told, facts, client, snapshot, loaded, accepted, read)
    _print(args, rollout, plans)
    return usage.FAILED if snapshot.violations else _code(rollout, plans) if args.detailed_exitcode else usage.DONE


def _code(rollout: Rollout, plans: Collection[Plan]) -> int:
    """The detailed exit code: what is held needs a human, whatever else changes."""
    actions = {change.action for plan in plans for change in plan.changes}
    if rollout.held or "hold" in actions:
        return usage.HELD
    return usage.CHANGES if actions - {"unchanged", "skip"} else usage.DONE


def _recalled(loaded: Loaded, client: Client, namespace: str) -> Loaded:
    """Records of an older format without versions, completed from their status objects."""
    from dataclasses import replace

    from reconciler import fleet
    from reconciler.model import NO_VERSIONS

    states = loaded.states
    if all(state.record.versions != NO_VERSIONS for state in states.values()):
        return loaded
    objects = client.list("nidus.dev", "NestedCluster", namespace=namespace)[0]
    said = {str(item["metadata"]["name"]): item.get("status") or {} for item in objects}
    recalled = {
        name: replace(state, record=fleet.recalled(state.record, said.get(name, {}))) for name, state in states.items()
    }
    return replace(loaded, states=recalled)


def _snapshot(
    args: argparse.Namespace, told: Settings, facts: HostFacts, states: Mapping[str, State]
) -> tuple[Snapshot, Mapping[str, Content], Read]:
    """The folder as a snapshot checked against the accepted contents, those contents, and a reader of the files of
    both."""
    from pathlib import Path

    from reconciler import fleet
    from reconciler.errors import Stalled, UsageError
    from reconciler.source import folder
    from reconciler.spec import load
    from reconciler.verbs import baseline

    sources = [source for source in told.config.sources if args.source in ("", source.name)]
    if len(sources) != 1:
        raise UsageError(f"{len(sources)} sources fit", hint="--source names one of the configuration's sources")
    name, sub, place = sources[0].name, sources[0].path, Path(args.path)
    revision, tree, read = folder.read(place, sub, told.limits)
    if not revision.commit:
        why = "it is in no Git repository, in one without a commit, or in one of another user"
        hint = "a plan compares with the commits that were accepted: nidus plan WORK_TREE"
        raise UsageError(f"no commit of {place} can be read: {why}", hint=hint)
    records = {key: state.record for key, state in states.items() if state.record.source == name}
    base = baseline.Baseline(place, sub, told.limits, list(records.values()))
    snapshot, _ = load.load(
        name,
        revision,
        tree,
        read(load.wanted(tree, load.NOTHING)),
        load.NOTHING,
        told.rules,
        facts,
        told.limits,
        accepted=fleet.documents(base.accepted),
        in_use=fleet.in_use(records.values(), name),
        running=fleet.all_running(records, base.accepted, told.rules),
        origins=fleet.profiles(base.accepted),
        descends=base.descends(place, revision.commit),
    )

    def both(oids: Collection[str]) -> dict[str, bytes]:
        try:
            return read(oids)
        except (KeyError, Stalled):
            return base.blobs(oids)

    return snapshot, base.accepted | _stood_for(base.missing, snapshot), both


def _stood_for(missing: Sequence[str], snapshot: Snapshot) -> dict[str, Content]:
    """Clusters whose accepted commit is not in this repository are compared with the folder itself, and a note is
    printed."""
    if missing:
        print(
            f"note: this folder's repository lacks the accepted commit of {len(missing)} clusters ({missing[0]}, ...): "
            "what removes or breaks them is not planned; `git fetch` may help",
            file=sys.stderr,
        )
    return {name: snapshot.content for name in missing if name in snapshot.specs.clusters}


def _plans(
    args: argparse.Namespace,
    told: Settings,
    facts: HostFacts,
    client: Client,
    snapshot: Snapshot,
    loaded: Loaded,
    accepted: Mapping[str, Content],
    read: Read,
) -> tuple[Rollout, tuple[Plan, ...]]:
    import time

    from reconciler import review
    from reconciler.controller import verify, watches
    from reconciler.inventory import requests
    from reconciler.inventory.salt import seen
    from reconciler.kube.targets import Targets
    from reconciler.packs.render import Renderer

    namespace = told.config.namespace
    unreadable = {name: verify.held(error) for name, error in loaded.unreadable.items()}
    asked, salted = requests.load(client, namespace), seen(client, namespace)
    standing = review.Standing(loaded.states, accepted, asked, salted, unreadable)
    targets, renderer = Targets(client, inside=told.inside), Renderer(workers=1, confined=False)

    def blobs(oids: Collection[str]) -> dict[str, bytes]:
        charts = {oid: told.charts[oid] for oid in oids if oid in told.charts}
        return charts | read([oid for oid in oids if oid not in charts])

    def reader(bundle: Bundle) -> Reader:
        return watches.reader(bundle, client, targets, renderer, blobs, facts, None)

    try:
        if not renderer.confinement():
            note = "note: charts are rendered without confinement: this machine cannot keep the render worker from the network"
            print(note, file=sys.stderr)
        return review.plans(snapshot, standing, told.rules, facts, reader, time.time(), every=args.all)
    finally:
        renderer.close()
        targets.forget_all()


def _print(args: argparse.Namespace, rollout: Rollout, plans: tuple[Plan, ...]) -> None:
    if args.output == "json":
        import json

        from reconciler.plan import render_json

        print(json.dumps(render_json.render(plans), indent=2))
        return
    from reconciler.plan import render_text

    for name, held in sorted(rollout.held.items()):
        print(printable(f"{name}: held: {held.message}"))
    print(render_text.render(plans, table.wants_colour(), args.detail))
