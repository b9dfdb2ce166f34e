"""A cluster that somebody lends to `nidus demo`: what is made there is named before, carries a label, and is removed afterwards.

Nothing that stands there already is changed: where one of the names is taken, nothing is made at all.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from reconciler import decoding
from reconciler.errors import UNREADABLE, ApiError, ErrorClass, Stalled, few
from reconciler.verbs.connection import NAMESPACE
from reconciler.verbs.looks import looks

if TYPE_CHECKING:
    from reconciler.kube.client import Client
    from reconciler.model import Object, ObjectRef

LABEL: Final = "nidus.dev/demo"
KEEPS: Final = "nidus-kept"
"""The policy that refuses to remove what an uninstall leaves: of a demo nothing is left."""
CLUSTERS: Final = "app.kubernetes.io/managed-by=nidus,nidus.dev/cluster"
OLDEST: Final = (1, 30)  # admission policies
GONE_SECONDS: Final = 300.0
SERVED_SECONDS: Final = 30.0
TOKEN_SECONDS: Final = 86400
NOTE: Final = "lent.json"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Lent:
    """`name` is the label's value; `note`: the file that keeps it while something stands there; `before`: the UIDs of namespaces that
    looked like the controller's before it was there; `cluster`: the UID of its namespace kube-system. `objects`: what is installed, in
    its order; `spaces`: the host namespaces of the nested clusters."""

    client: Client
    note: Path
    name: str
    before: frozenset[str]
    cluster: str
    objects: tuple[Object, ...]
    spaces: tuple[str, ...]

    def refs(self) -> Iterator[ObjectRef]:
        """Everything that must not be there before."""
        from reconciler.model import ObjectRef
        from reconciler.plan.mark import ref_of

        yield from map(ref_of, self.objects)
        yield from (ObjectRef("", "Namespace", "", one) for one in self.spaces)


class _Note(msgspec.Struct):
    name: str
    server: str
    cluster: str
    before: frozenset[str]


def opened(client: Client, folder: Path, manifests: Path, spaces: Iterable[str]) -> Lent:
    """The cluster, under the name that the demo of this folder has there. Raises Stalled where one before left something on another
    cluster, also where that had the same address, and ApiError."""
    from reconciler.kube import edge

    file, server, cluster = folder / NOTE, edge.server(client), _identity(client)
    found = _version(client.version())
    if found < OLDEST:
        raise Stalled(f"{server} is Kubernetes {found[0]}.{found[1]}: {OLDEST[0]}.{OLDEST[1]} or newer is needed")
    known = _noted(file) if file.exists() else _first(client, server, cluster)
    if (known.server, known.cluster) != (server, cluster):
        where = f"another cluster, which was at {server}" if known.server == server else known.server
        raise Stalled(
            f"a demo before left something on {where}",
            hint=f"run it with the context of that cluster first; where that is gone, remove {file}",
        )
    return Lent(client, file, known.name, known.before, cluster, tuple(_objects(manifests, known.name)), tuple(spaces))


def listing(one: Lent) -> str:
    """What will be made there, by kind."""
    kinds: dict[str, list[str]] = {}
    for ref in one.refs():
        kinds.setdefault(ref.kind, []).append(f"{ref.namespace}/{ref.name}".lstrip("/"))
    return "\n".join(f"  {kind}: {' '.join(sorted(names))}" for kind, names in sorted(kinds.items()))


def check(one: Lent) -> None:
    """Raises Stalled where one of the names is taken, and ApiError."""
    taken = [str(ref) for ref in one.refs() if one.client.get(ref) is not None]
    if taken:
        what = f"{len(taken)} of what the demo would make is there already: {few(taken, _SHOWN)}"
        raise Stalled(what, hint="the demo changes nothing of others; is Nidus installed there? Then nidus status")


def install(one: Lent) -> None:
    """Make everything, and wait until the kinds are served. Raises ApiError and Stalled."""
    from reconciler.kube import edge

    one.note.write_bytes(msgspec.json.encode(_Note(one.name, edge.server(one.client), one.cluster, one.before)))
    for each in one.objects:
        one.client.create(each)
    for each in one.objects:
        if each["kind"] == "CustomResourceDefinition":
            _await_served(one.client, each)


def sign_in(client: Client, file: Path) -> Path:
    """A kubeconfig of the controller's account, by a token of a day at most. Raises ApiError."""
    from reconciler.kube import edge
    from reconciler.kube.transport import Call

    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/nidus/token"
    answer = client.transport.send(Call("create", "POST", path, body=body), deadline=client.deadline)[1]
    token = msgspec.json.decode(answer)["status"]["token"]
    named = {"name": "demo", "context": {"cluster": "demo", "user": "demo"}}
    made = {
        "apiVersion": "v1", "kind": "Config", "current-context": "demo", "contexts": [named],
        "clusters": [{"name": "demo", "cluster": edge.entry(client)}],
        "users": [{"name": "demo", "user": {"token": token}}],
    }  # fmt: skip
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as writing:
        json.dump(made, writing)
    return file


def cleared(one: Lent, told: Callable[[str], None]) -> Lent:
    """The same cluster without what a demo that was killed left there: what stands there now is none of the next one's. Raises as `end`
    does."""
    from reconciler.kube import edge
    from reconciler.model import replace

    end(one, told)
    new = _first(one.client, edge.server(one.client), one.cluster)
    return replace(one, before=new.before)


def end(one: Lent, told: Callable[[str], None], seconds: float = GONE_SECONDS) -> None:
    """Remove everything that this demo made, and wait until it is gone: first the nested clusters, then what guards them. Raises
    Stalled naming what is left, and ApiError."""
    from reconciler.model import ObjectRef

    home = one.client.get(ObjectRef("", "Namespace", "", NAMESPACE))
    if home is not None and _ours(home, one):
        spaces = list(_spaces(one.client, one.before, str(home["metadata"]["creationTimestamp"])))
        told(f"Removing {len(spaces)} namespaces of nested clusters, with all that is in them")
        _remove(one.client, spaces, seconds)
    if installed := list(_installed(one)):
        told(f"Removing {len(installed)} objects that were installed")
        _remove(one.client, installed, seconds)
    one.note.unlink(missing_ok=True)


def _objects(manifests: Path, name: str) -> Iterator[Object]:
    import yaml

    for file in [*sorted((manifests / "crds").glob("*.yaml")), manifests / "rbac.yaml"]:
        for one in yaml.load_all(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if one and one["metadata"]["name"] != KEEPS:
                metadata = one["metadata"]
                yield {**one, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), LABEL: name}}}


def _version(text: str) -> tuple[int, int]:
    """Raises Stalled for what is no version of Kubernetes."""
    found = re.match(r"v(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    if found is None:
        raise Stalled("the API server tells no version of Kubernetes")
    return int(found[1]), int(found[2])


def _await_served(client: Client, crd: Object) -> None:
    names = crd["spec"]["names"]["kind"]
    for _ in looks(SERVED_SECONDS, 0.1):
        try:
            client.list(crd["spec"]["group"], names, namespace=NAMESPACE)
        except ApiError as error:
            if error.kind not in (
                ErrorClass.KIND_MISSING,
                ErrorClass.KIND_UNREAD,
                ErrorClass.VERSION_MISSING,
                ErrorClass.ABSENT,
            ):
                raise
        else:
            return
    raise Stalled(f"kind {names} is not served {SERVED_SECONDS:.0f} s after it was made")


def _ours(live: Object, one: Lent) -> bool:
    return bool((live["metadata"].get("labels") or {}).get(LABEL) == one.name)


def _noted(file: Path) -> _Note:
    try:
        return decoding.decoded(file.read_bytes(), _Note)
    except UNREADABLE:
        hint = f"look for what carries the label {LABEL}, then remove {file}"
        raise Stalled(f"{file} does not say what a demo before made", hint=hint) from None


def _identity(client: Client) -> str:
    """What tells a cluster from another one at the same address."""
    from reconciler.model import ObjectRef

    found = client.get(ObjectRef("", "Namespace", "", "kube-system"))
    return str(found["metadata"]["uid"]) if found is not None else ""


def _first(client: Client, server: str, cluster: str) -> _Note:
    return _Note(secrets.token_hex(6), server, cluster, frozenset(uid for _, uid in _spaces(client)))


def _spaces(client: Client, but: Container[str] = (), since: str = "") -> Iterator[tuple[ObjectRef, str]]:
    """The namespaces that carry the controller's labels, with their UIDs: none of the UIDs `but`, and none made before `since` (a time
    as objects have it)."""
    from reconciler.plan.mark import ref_of

    for each in client.list("", "Namespace", labels=CLUSTERS)[0]:
        meta = each["metadata"]
        if meta["uid"] not in but and str(meta["creationTimestamp"]) >= since:
            yield ref_of(each), str(meta["uid"])


def _installed(one: Lent) -> Iterator[tuple[ObjectRef, str]]:
    """What carries the label, the last first."""
    from reconciler.plan.mark import ref_of

    for each in reversed(one.objects):
        live = one.client.get(ref_of(each))
        if live is not None and _ours(live, one):
            yield ref_of(each), str(live["metadata"]["uid"])


def _remove(client: Client, wanted: list[tuple[ObjectRef, str]], seconds: float) -> None:
    """Raises Stalled naming what is left after that time, and ApiError."""
    for ref, uid in wanted:
        _delete(client, ref, uid)
    for _ in looks(seconds, 0.2):
        wanted = [(ref, uid) for ref, uid in wanted if _is_there(client, ref, uid)]
        if not wanted:
            return
    left = few([str(ref) for ref, _ in wanted], _SHOWN)
    raise Stalled(f"not gone after {seconds:.0f} s: {left}", hint="look at what holds it, then run the demo again")


def _delete(client: Client, ref: ObjectRef, uid: str) -> None:
    try:
        client.delete(ref, uid)
    except ApiError as error:
        if error.kind is not ErrorClass.RACED:  # another object has the name now, which is none of ours
            raise


def _is_there(client: Client, ref: ObjectRef, uid: str) -> bool:
    live = client.get(ref)
    return live is not None and live["metadata"]["uid"] == uid


def left(one: Lent, why: str) -> str:
    """What to do where the end failed."""
    return f"{why}; the same command in the same folder removes what carries the label {LABEL}={one.name}"
