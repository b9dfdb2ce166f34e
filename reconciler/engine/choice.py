"""Which engine and which Kubernetes version a cluster gets: those it asks for, unless the step from the running ones is
not allowed.

Every rule about steps (no downgrade, one minor at a time) starts from the versions that run. They are compared with the
version in the document and with the operator's newest alike, so that neither a commit nor a shorter list lowers a
running cluster.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from reconciler.engine import versions
from reconciler.model import EngineChoice, Held, KubernetesChoice, NestedCluster, Rules, Versions

_Offer = tuple[tuple[str, ...], tuple[str, ...]]  # engine versions, oldest first, and Kubernetes versions
_FIELDS = {"engine": "spec.engine.version", "Kubernetes": "spec.kubernetes.version"}


class Choice(Struct, frozen=True):
    """The versions to enforce, and the hold where the ones asked for are not allowed; `ahead`: those that follow, a step each (O11)."""

    versions: Versions
    held: Held | None = None
    ahead: tuple[Versions, ...] = ()


def asked(cluster: NestedCluster, rules: Rules) -> Versions:
    """The versions in the document, else the operator's newest; "" where there is none."""
    return _asked(_written(cluster), _offered(rules))


def choose(cluster: NestedCluster, rules: Rules, running: Versions) -> Choice:
    """The versions of one cluster. Where a step is not allowed, the running versions stay and a hold says why; never
    raises.

    `running`: the versions rolled out last, "" where nothing ran yet: then every version is allowed. With `upgrade.steps` Auto a jump of
    several minors is walked, and no step begins before the cluster is Ready after the last one (O11).
    """
    engine, kubernetes = cluster.spec.engine.version, cluster.spec.kubernetes.version
    walk = ("settled" if running.settled else "open") if cluster.spec.upgrade.steps == "Auto" else ""
    return _choose(engine, kubernetes, running.engine, running.kubernetes, walk, _offered(rules))


def lowers(running: Versions, wanted: Versions) -> bool:
    """Whether the engine or Kubernetes would become older than what runs."""
    return versions.lower(running.engine, wanted.engine) or versions.lower(running.kubernetes, wanted.kubernetes)


def pinned(cluster: NestedCluster, wanted: Versions) -> NestedCluster:
    """The document with these versions written in it."""
    engine, kubernetes = EngineChoice(version=wanted.engine), KubernetesChoice(version=wanted.kubernetes)
    return msgspec.structs.replace(
        cluster, spec=msgspec.structs.replace(cluster.spec, engine=engine, kubernetes=kubernetes)
    )


def _written(cluster: NestedCluster) -> Versions:
    return Versions(cluster.spec.engine.version, cluster.spec.kubernetes.version)


def _offered(rules: Rules) -> _Offer:
    return tuple([chart.version for chart in rules.engines]), tuple(rules.kubernetes_versions)


@lru_cache(maxsize=4096)  # many clusters have the same versions, and every commit asks again
def _asked(written: Versions, offered: _Offer) -> Versions:
    engines, kubernetes = offered
    engine = written.engine or (engines[-1] if engines else "")
    return Versions(engine, written.kubernetes or _newest_kubernetes(engine, kubernetes))


@lru_cache(maxsize=4096)  # by texts alone: their hashes are kept, and nothing is made to ask
def _choose(engine: str, kubernetes: str, runs_engine: str, runs_kubernetes: str, walk: str, offered: _Offer) -> Choice:
    written, running = Versions(engine, kubernetes), Versions(runs_engine, runs_kubernetes)
    steps = walked(running, _asked(written, offered), offered) if walk else ()
    if not steps:
        return _chosen(written, offered, running)
    if walk == "settled":
        return Choice(steps[0], None, steps[1:])
    gone = _withdrawn("engine", running.engine, offered[0]) or _withdrawn("Kubernetes", running.kubernetes, offered[1])
    return Choice(running, gone, steps)


def walked(running: Versions, wanted: Versions, offered: _Offer) -> tuple[Versions, ...]:
    """The versions from the running to the wanted ones, a minor each; () where there is no way, or nothing runs."""
    if wanted.engine not in offered[0] or wanted.kubernetes not in offered[1]:
        return ()
    engines = versions.path(running.engine, wanted.engine, offered[0])
    kubernetes = versions.path(running.kubernetes, wanted.kubernetes, offered[1])
    at, found = running, list[Versions]()
    while engines or kubernetes:
        engine, other = (engines or (at.engine,))[0], (kubernetes or (at.kubernetes,))[0]
        pairs = ((engine, other), (engine, at.kubernetes), (at.engine, other))
        pair = next((one for one in pairs if one != (at.engine, at.kubernetes) and versions.runs(*one)), None)
        if pair is None:
            return ()
        at = Versions(*pair)
        engines = tuple(one for one in engines if versions.lower(one, at.engine))
        kubernetes = tuple(one for one in kubernetes if versions.lower(one, at.kubernetes))
        found.append(at)
    return tuple(found) if at == wanted else ()


def _chosen(written: Versions, offered: _Offer, running: Versions) -> Choice:
    engine, first = _step("engine", running.engine, _asked(written, offered).engine, offered[0])
    wanted = written.kubernetes or _newest_kubernetes(engine, offered[1])
    kubernetes, second = _step("Kubernetes", running.kubernetes, wanted, offered[1])
    found = Versions(engine, kubernetes)
    third = _pair(found, running)
    if third is not None:
        found = running
    gone = _withdrawn("engine", found.engine, offered[0]) or _withdrawn("Kubernetes", found.kubernetes, offered[1])
    return Choice(found, gone or first or second or third)


def _newest_kubernetes(engine: str, offered: Sequence[str]) -> str:
    """The newest offered version that the engine runs, else the newest offered."""
    return versions.newest(found for found in offered if versions.runs(engine, found)) or versions.newest(offered)


def _step(what: str, running: str, wanted: str, offered: Sequence[str]) -> tuple[str, Held | None]:
    """The version to enforce, and the hold where the step to `wanted` is not allowed."""
    if not running or running == wanted or not wanted:
        return wanted or running, None
    if not versions.step(running, wanted):
        return wanted, None
    told, next_ = f"{what} {running} runs and {wanted} is asked for", versions.reachable(running, offered) or running
    if versions.lower(running, wanted):
        stay = running if running in offered else next_
        return running, Held("Downgrade", f"{told}: downgrades are not possible; write {_FIELDS[what]}: {stay}")
    why = "a version may rise by one minor at a time"
    return running, Held("MinorSkipped", f"{told}: {why}, {running} stays; write {_FIELDS[what]}: {next_}")


def _pair(found: Versions, running: Versions) -> Held | None:
    """The hold of a step after which the engine would not run the Kubernetes version."""
    if "" in (running.engine, running.kubernetes) or found == running or versions.runs(found.engine, found.kubernetes):
        return None
    told = f"engine {running.engine} with Kubernetes {running.kubernetes} runs"
    message = f"{told}; engine {found.engine} does not run Kubernetes {found.kubernetes}: this pair stays; write one that fits"
    return Held("UnsupportedPair", message)


def _withdrawn(what: str, version: str, offered: Sequence[str]) -> Held | None:
    """The hold of a version that the operator does not offer (any more): only the operator or a commit ends it."""
    if version in offered:
        return None
    if not version:
        message = f"the controller offers no version of the {what}: its configuration names none"
        return Held("VersionWithdrawn", message, stalls=True)
    choices = [found for found in offered if not versions.step(version, found)]
    way = f"write {_FIELDS[what]}: {versions.newest(choices)}, or" if choices else "none that is offered can follow it:"
    message = (
        f"the controller no longer offers {what} {version}: the cluster stays as it is; {way} offer {version} again"
    )
    return Held("VersionWithdrawn", message, stalls=True)
