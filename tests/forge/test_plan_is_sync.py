"""What the plan of a change request says is what the sync after its merge does, object by object; and where the live state moved
between the two, nothing is deleted, replaced or taken over that the plan did not show."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.model import ObjectRef, Review, Target
from tests.documents import cluster, config_map, crd, profile
from tests.examples import examples
from tests.forge.scene import Scene
from tests.histories.steps import ZONE
from tests.histories.story import KINDS
from tests.passes import HOME, Fleet

Place = tuple[str, str, str, str, str]
"""A server's name (host, or a nested cluster), and group, kind, namespace and name of an object."""
Done = set[tuple[str, Place]]
"""What is done to which object: create, configure, delete, replace."""
Hands = Sequence[tuple[str, str, str]]
"""What is done by hand, in which cluster, to which ConfigMap."""

SEEN = {"create": "create", "configure": "configure", "adopt": "configure", "delete": "delete", "replace": "replace"}
"""An action of a plan, and what is to be seen of it afterwards."""
ALL = (*KINDS, ("", "ResourceQuota"))
NAMES = ("one", "two", "three", "four", "five")
FEW = examples(3)


@dataclass(frozen=True)
class Repo:
    """What Git says: the texts of the profile's ConfigMaps, whether it has further packs, and the clusters with their policies."""

    maps: Mapping[str, str]
    zone: bool
    rest: bool
    clusters: Mapping[str, str]

    def files(self, named: Callable[[str], str] = str, namespace: str = "web") -> dict[str, str]:
        """`named` makes the names of clusters; `namespace` is the one inside, which may hold the variable of that name."""
        texts = {"keep": "1", **self.maps}
        maps = [config_map(name, text=text) for name, text in sorted(texts.items())]
        packs = [_pack("base", namespace, *maps)]
        packs += [_pack("zones", "", crd(), ZONE)] if self.zone else []
        packs += [_pack("rest", namespace, config_map("rest"), dependsOn=["base"])] if self.rest else []
        found = {"p.yaml": profile(*packs)}
        for name, policy in self.clusters.items():
            inside = [{"name": namespace.replace("${{ cluster.name }}", named(name))}]
            deletion = {"policy": policy, "grace": "0s"}
            found[f"{name}.yaml"] = cluster(named(name), namespaces=inside, deletion=deletion)
        return found


def _pack(name: str, namespace: str, *objects: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A pack whose objects name their namespace themselves, as only they can with a variable."""
    inside = {"namespace": namespace} if namespace else {}
    named = [{**one, "metadata": {**one["metadata"], **inside}} for one in objects]
    return {"name": name, "manifests": {"objects": named}, **more}


REPOS = st.builds(
    Repo,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from("12"), max_size=5),
    st.booleans(),
    st.booleans(),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(["Retain", "Delete"])).map(
        lambda few: {"z": "Retain"} | few
    ),
)
HANDS = st.lists(
    st.tuples(
        st.sampled_from(["delete", "edit", "foreign"]), st.sampled_from("abz"), st.sampled_from((*NAMES, "rest"))
    ),
    min_size=1,
    max_size=4,
)


@contextmanager
def merged(
    before: Repo, after: Repo, *, early: Hands = (), late: Hands = ()
) -> Iterator[tuple[Scene, Review, set[Place]]]:
    """A change request from one to the other that was shown, approved and merged, and its plan; `early` was done by hand before the plan,
    `late` after the approval. Also what stood then that is not of Nidus."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder), before.files())
        try:
            for hand in early:
                by_hand(scene.fleet, *hand)
            files = after.files()
            number = scene.open({**files, "README.md": "changed"}, gone=tuple(before.files().keys() - files.keys()))
            scene.look()
            scene.look()
            (one,) = scene.changes.open()
            assert one.planned is not None and one.planned.review is not None, one.planned
            scene.forge.state.review(number, "bob")
            for hand in late:
                by_hand(scene.fleet, *hand)
            foreign = set(world(scene.fleet)) - owned(scene.fleet)
            scene.merge(number, admitted=False)
            yield scene, one.planned.review, foreign
        finally:
            scene.close()


def by_hand(fleet: Fleet, what: str, name: str, obj: str) -> None:
    server = fleet.nested.get(name)
    live = server.get("", "ConfigMap", "web", obj) if server else None
    if server and live and what == "delete":
        server.delete("", "ConfigMap", "web", obj)
    elif server and live and what == "edit":
        server.put({**live, "data": {"text": "by hand"}}, manager="kubectl-edit")
    elif server and not live and what == "foreign":
        server.put({**config_map(obj, text="theirs"), "metadata": {"name": obj, "namespace": "web"}}, manager="them")


def synced(scene: Scene) -> None:
    """The branch is read, the merge is bound to its review, and all is applied."""
    scene.admit()
    scene.look()
    scene.fleet.look()
    scene.fleet.run()


def world(fleet: Fleet) -> dict[Place, tuple[str, Any]]:
    """Every object that a plan may speak of, with its UID and what of it is not the server's."""
    return {
        (server.name, *kind, str(one["metadata"].get("namespace", "")), str(one["metadata"]["name"])): content(one)
        for server in (fleet.host, *fleet.nested.values())
        for kind in ALL
        for one in server.objects(*kind)
        if one["metadata"].get("namespace", one["metadata"]["name"]) != HOME
    }


def content(one: Mapping[str, Any]) -> tuple[str, Any]:
    kept = {key: value for key, value in one.items() if key not in ("metadata", "status")}
    meta = {key: one["metadata"].get(key) for key in ("labels", "annotations")}
    return str(one["metadata"]["uid"]), (kept, meta)


def place(target: Target, ref: ObjectRef) -> Place:
    return target.nested or "host", ref.group, ref.kind, ref.namespace, ref.name


def owned(fleet: Fleet) -> set[Place]:
    return {place(entry.target, entry.ref) for state in fleet.store.load().states.values() for entry in state.entries}


def done(before: Mapping[Place, tuple[str, Any]], after: Mapping[Place, tuple[str, Any]]) -> Done:
    """What was done, as what stands tells it."""
    found: Done = {("create", one) for one in after.keys() - before.keys()}
    found |= {("delete", one) for one in before.keys() - after.keys()}
    for one in before.keys() & after.keys():
        if before[one][0] != after[one][0]:
            found.add(("replace", one))
        elif before[one] != after[one]:
            found.add(("configure", one))
    return found


def planned(review: Review, actions: Iterable[str] = SEEN) -> Done:
    """What a plan says will be done, of what is held what would be."""
    return {
        (SEEN.get(action, action), place(change.target, change.ref))
        for one in review.clusters
        if one.plan
        for change in one.plan.changes
        if (action := change.would or change.action) in actions
    }


def cluster_of(where: Place) -> str:
    server, _, _, namespace, name = where
    return (namespace or name).removeprefix("vcluster-") if server == "host" else server


def removed(review: Review) -> set[str]:
    """The clusters that the plan takes away: what it shows of them is the removal, not each object."""
    return {one.cluster for one in review.clusters if one.tombstone or (one.held and not one.plan)}


def unborn(review: Review) -> set[str]:
    """The clusters whose API server is not there yet: what comes inside is told as known later."""
    return {one.cluster for one in review.clusters if one.later}


def waiting(review: Review) -> set[Place]:
    """What the plan says is held, or waits for what is held: the layers behind it, and then all deletions."""
    return {
        place(change.target, change.ref)
        for one in review.clusters
        if one.plan
        for change in one.plan.changes
        if change.action == "hold" or change.layer in one.behind or (one.behind and change.action == "delete")
    }


@FEW
@given(REPOS, REPOS, HANDS)
def test_a_plan_is_what_the_sync_does(before: Repo, after: Repo, hands: Hands) -> None:
    with merged(before, after, early=hands) as (scene, review, _):
        stood = world(scene.fleet)
        synced(scene)
        assert not scene.fleet.held
        held = {name: one.held.reason for name, one in scene.fleet.reporter.clusters.items() if one.held}
        assert set(held.values()) <= {"NotOwner"}  # a review is no claim: whose object it is, its file has to say
        did = {(what, one) for what, one in done(stood, world(scene.fleet)) if one[0] not in unborn(review)}
        going = {(what, one) for what, one in did if cluster_of(one) in removed(review)}
        outside = {what for what, one in going if one[0] == "host"}  # inside, drift is corrected until they go
        assert outside <= {"delete"}
        said = {(what, one) for what, one in planned(review) if cluster_of(one) not in removed(review)}
        assert did - going <= said
        assert {cluster_of(one) for _, one in said - did} <= held.keys()
        assert {one for _, one in said - did} <= waiting(review)
        assert removed(review) == before.clusters.keys() - after.clusters.keys()
        event(f"{len(removed(review))} removed, {len(unborn(review))} made")


@FEW
@given(REPOS, REPOS, HANDS)
def test_what_moved_after_the_plan_is_never_destroyed_unseen(before: Repo, after: Repo, hands: Hands) -> None:
    with merged(before, after, late=hands) as (scene, review, foreign):
        stood = world(scene.fleet)
        synced(scene)
        did = {(what, one) for what, one in done(stood, world(scene.fleet)) if cluster_of(one) not in removed(review)}
        assert {one for one in did if one[0] in ("delete", "replace")} <= planned(review)
        taken = {one for _, one in did if one in foreign}
        assert taken <= {one for _, one in planned(review, ("adopt",))}
        event("held" if any(one.held for one in scene.fleet.reporter.clusters.values()) else "all went on")
