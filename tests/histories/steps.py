"""What people, machines and Git do in a history: made from a seed, the same whatever fails."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.documents import cluster, config_map, crd, pack, profile

NAMES = ("a", "b")
MAPS = ("one", "two", "three", "four", "five")
ZONE = {"apiVersion": "zones.example/v1", "kind": "Zone", "metadata": {"name": "eu"}, "spec": {"region": "north"}}
KINDS = (
    "value", "value", "map", "map", "cluster", "cluster", "pack", "broken", "edit", "delete", "restart", "kill", "kill",
    "time", "approve", "suspend", "outage", "versions", "sleep", "wake",
)  # fmt: skip

Step = tuple[str, Any]
Files = dict[str, str]


@dataclass
class Wanted:
    """What Git says: the clusters, with the policy of each, and the objects of their one profile."""

    clusters: dict[str, str] = field(default_factory=lambda: {"z": "Retain"})
    maps: dict[str, str] = field(default_factory=lambda: {"one": "1", "keep": "1"})
    zone: bool = False
    rest: bool = True

    def files(self) -> Files:
        base = [config_map(name, text=text) for name, text in sorted(self.maps.items())]
        packs = [pack("base", *base)]
        packs += [pack("zones", crd(), ZONE)] if self.zone else []
        packs += [pack("rest", config_map("rest"), dependsOn=["base"])] if self.rest else []
        found = {"p.yaml": profile(*packs)}
        for name, policy in self.clusters.items():
            found[f"{name}.yaml"] = cluster(name, deletion={"policy": policy, "grace": "0s"})
        return found

    def objects(self) -> frozenset[tuple[str, str]]:
        """Group and name of what every cluster holds inside."""
        found = {("", name) for name in self.maps} | ({("", "rest")} if self.rest else set())
        return frozenset(found | ({("zones.example", "eu")} if self.zone else set()))


def steps(seed: int) -> list[Step]:
    """The history of a seed."""
    rng = random.Random(seed)
    wanted, out = Wanted(), list[Step]()
    out.append(_push(wanted))
    for _ in range(rng.randint(2, 5)):
        kind = rng.choice(KINDS)
        out += _step(kind, rng, wanted)
        out.append(("run", rng.randint(0, 20)))
    return out


def _step(kind: str, rng: random.Random, wanted: Wanted) -> list[Step]:
    match kind:
        case "value":
            wanted.maps[rng.choice(sorted(wanted.maps))] = str(rng.randint(2, 99))
        case "map":
            for name in rng.sample(MAPS, rng.randint(1, 3)):
                wanted.maps.pop(name) if name in wanted.maps else wanted.maps.update({name: "1"})
        case "cluster":
            return _cluster(rng, wanted)
        case "pack":
            wanted.zone, wanted.rest = wanted.zone or rng.random() < 0.5, not wanted.rest
        case "broken":
            files = {**wanted.files(), "p.yaml": "kind: ClusterProfile\napiVersion: nidus.dev/v1alpha1\n"}
            return [("push", (files, None)), ("run", rng.randint(0, 10)), _push(wanted)]
        case "edit" | "delete":
            return [(kind, (rng.choice((*NAMES, "z")), rng.choice(("keep", *MAPS))))]
        case "sleep" | "wake":
            return [(kind, rng.choice((*NAMES, "z")))]
        case "suspend":
            name = rng.choice((*NAMES, "z"))
            return [("suspend", name), ("run", rng.randint(0, 10)), ("resume", name)]
        case _:
            return [(kind, rng.randint(1, 60))]
    return [_push(wanted)]


def _cluster(rng: random.Random, wanted: Wanted) -> list[Step]:
    """A cluster comes or goes. What its last life left is settled before, so that the end does not depend on how far that was."""
    name = rng.choice(NAMES)
    known = wanted.clusters.pop(name, None)
    wanted.clusters |= {} if known else {name: rng.choice(["Retain", "Delete"])}
    return [("settle", 0), _push(wanted)]


def _push(wanted: Wanted) -> Step:
    return ("push", (wanted.files(), (frozenset(wanted.clusters), wanted.objects())))
