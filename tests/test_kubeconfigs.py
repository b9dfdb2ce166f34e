"""Kubeconfigs that are made and kept good: a Secret with a token of an account inside (O12)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.memory.failures import answer, raw
from tests.passes import START, Fleet, cluster, config_map, pack, profile

CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
EDIT = {"name": "team-a", "role": "edit", "ttl": "10h"}
VIEW = {"name": "ci", "role": "view", "ttl": "1h"}
HOUR = 3600.0
RBAC = "rbac.authorization.k8s.io"


def files(*entries: Any, **spec: Any) -> dict[str, str]:
    packs = profile(pack("base", config_map("greeting", text="one")))
    return {"p.yaml": packs, "a.yaml": cluster("a", access={"kubeconfigs": list(entries)}, **spec)}


def credentials(fleet: Fleet, ca: str = CA) -> None:
    """What the engine leaves on the host."""
    meta = {"name": "vc-a", "namespace": "vcluster-a"}
    data = {"certificate-authority": ca, "token": "admin"}
    fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}, manager="vcluster")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    made.push(files(EDIT))
    made.run()
    credentials(made)
    look(made)
    yield made
    made.close()


def look(fleet: Fleet, at: float | None = None) -> None:
    fleet.now = fleet.now if at is None else at
    fleet.queue.add("a")
    fleet.run()


def secret(fleet: Fleet, name: str = "team-a") -> Any:
    return fleet.host.get("", "Secret", "vcluster-a", f"nidus-kubeconfig-{name}")


def content(fleet: Fleet, name: str = "team-a") -> Any:
    return json.loads(base64.b64decode(secret(fleet, name)["data"]["config"]))


def token(fleet: Fleet, name: str = "team-a") -> str:
    return str(content(fleet, name)["users"][0]["user"]["token"])


def told(fleet: Fleet) -> Any:
    found = fleet.reporter.clusters["a"].life.kubeconfigs
    return msgspec.to_builtins(found) if found is not None else None


def account(fleet: Fleet, name: str = "team-a") -> Any:
    return fleet.nested["a"].get("", "ServiceAccount", "kube-system", f"nidus-kubeconfig-{name}")


def test_an_entry_is_an_account_inside_and_a_secret_on_the_host(fleet: Fleet) -> None:
    found = content(fleet)
    assert found["clusters"][0]["cluster"]["server"] == "https://a.vcluster-a.svc"
    assert base64.b64decode(found["clusters"][0]["cluster"]["certificate-authority-data"]).decode() == CA
    assert token(fleet).partition(".")[0] == account(fleet)["metadata"]["uid"]
    binding = fleet.nested["a"].get(RBAC, "ClusterRoleBinding", "", "nidus-clusterrole-edit")
    assert binding is not None
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "nidus-kubeconfig-team-a", "namespace": "kube-system"}
    ]
    assert [one["name"] for one in told(fleet)["list"]] == ["team-a"]
    assert "problem" not in told(fleet)


def test_its_secret_goes_with_the_engine_and_carries_our_marks(fleet: Fleet) -> None:
    """So no engine may write it, and a removed cluster leaves none."""
    engine = fleet.host.get("apps", "StatefulSet", "vcluster-a", "a")
    assert engine is not None
    meta = secret(fleet)["metadata"]
    assert [one["uid"] for one in meta["ownerReferences"]] == [engine["metadata"]["uid"]]
    assert (meta["labels"]["app.kubernetes.io/managed-by"], meta["labels"]["nidus.dev/cluster"]) == ("nidus", "a")


def test_a_second_look_writes_nothing_and_asks_for_no_token(fleet: Fleet) -> None:
    before, asked = secret(fleet)["metadata"]["resourceVersion"], tokens(fleet)
    for _ in range(3):
        look(fleet)
    assert (secret(fleet)["metadata"]["resourceVersion"], tokens(fleet)) == (before, asked)


def tokens(fleet: Fleet) -> int:
    return sum(1 for one in fleet.nested["a"].log if one.subresource == "token")


def test_its_token_is_made_anew_when_80_percent_of_its_life_are_over(fleet: Fleet) -> None:
    first = token(fleet)
    look(fleet, fleet.now + 7.9 * HOUR)
    assert token(fleet) == first
    look(fleet, fleet.now + 0.2 * HOUR)
    second = token(fleet)
    assert second != first
    ends = float(first.rpartition(".")[2])
    assert START + fleet.now < ends - 1.5 * HOUR, "both are good for a while"


def test_a_restart_makes_no_new_token(fleet: Fleet) -> None:
    before = token(fleet)
    fleet.restart()
    fleet.run()
    assert token(fleet) == before


def test_an_entry_that_leaves_takes_its_account_and_its_secret_along(fleet: Fleet) -> None:
    fleet.push(files(EDIT, VIEW))
    fleet.run()
    assert account(fleet, "ci") is not None and secret(fleet, "ci") is not None
    fleet.push(files(VIEW))
    fleet.run()
    assert (account(fleet), secret(fleet)) == (None, None)
    assert [one["name"] for one in told(fleet)["list"]] == ["ci"]
    fleet.push(files())
    fleet.run()
    assert (account(fleet, "ci"), secret(fleet, "ci"), told(fleet)) == (None, None, None)


def test_an_account_that_was_made_anew_gets_a_new_token(fleet: Fleet) -> None:
    """The old one is bound to the account that is gone."""
    first = token(fleet)
    fleet.nested["a"].delete("", "ServiceAccount", "kube-system", "nidus-kubeconfig-team-a")
    look(fleet)
    look(fleet)
    assert token(fleet) != first
    assert token(fleet).partition(".")[0] == account(fleet)["metadata"]["uid"]


def test_a_secret_that_somebody_spoils_is_put_back(fleet: Fleet) -> None:
    for data in (None, {"config": "b25l"}, {}):
        live = secret(fleet)
        if data is None:
            fleet.host.delete("", "Secret", "vcluster-a", live["metadata"]["name"])
        else:
            fleet.host.put({**live, "data": data})
        look(fleet)
        assert content(fleet)["current-context"] == "a"


def test_another_certificate_or_another_life_is_written_at_once(fleet: Fleet) -> None:
    first = token(fleet)
    other = CA.replace("AAAA", "BBBB")
    credentials(fleet, other)
    look(fleet)
    second = token(fleet)
    data = content(fleet)["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(data).decode() == other
    fleet.push(files({**EDIT, "ttl": "2h"}))
    fleet.run()
    assert float(token(fleet).rpartition(".")[2]) - START - fleet.now <= 2 * HOUR + 1  # the server tells whole seconds
    assert len({first, second, token(fleet)}) >= 2


def test_a_secret_of_somebody_else_is_left_alone_and_told(fleet: Fleet) -> None:
    meta = {"name": "nidus-kubeconfig-ci", "namespace": "vcluster-a"}
    fleet.host.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"mine": "1"}})
    fleet.push(files(EDIT, VIEW))
    fleet.run()
    assert set(secret(fleet, "ci")["data"]) == {"mine"}
    assert told(fleet)["problem"].startswith("ci: Secret/vcluster-a/nidus-kubeconfig-ci exists and is not ours")
    assert [one["name"] for one in told(fleet)["list"]] == ["team-a"]


def test_the_token_of_one_that_fails_is_told_and_the_old_one_stays(fleet: Fleet) -> None:
    first = token(fleet)
    fleet.nested["a"].fail(answer(500), lambda call: call.subresource == "token", times=None)
    look(fleet, fleet.now + 8.5 * HOUR)
    assert token(fleet) == first and told(fleet)["problem"].startswith("team-a: ")
    fleet.nested["a"].heal()
    look(fleet, fleet.now + 60)
    assert token(fleet) != first and "problem" not in told(fleet)


@pytest.mark.parametrize(
    "said",
    [
        {"status": {"token": "a b", "expirationTimestamp": "2030-01-01T00:00:00Z"}},
        {"status": {"token": "x" * 20_000, "expirationTimestamp": "2030-01-01T00:00:00Z"}},
        {"status": {"token": "ok", "expirationTimestamp": "soon"}},
        {"status": {"token": 1}},
        [],
    ],
)
def test_a_tenants_server_gives_no_odd_token(fleet: Fleet, said: Any) -> None:
    first = token(fleet)
    fleet.nested["a"].fail(raw(json.dumps(said).encode(), 201), lambda call: call.subresource == "token", times=None)
    look(fleet, fleet.now + 8.5 * HOUR)
    assert token(fleet) == first
    assert "the server does not answer as Kubernetes does" in told(fleet)["problem"]


def test_no_token_stands_in_a_record_a_status_a_plan_or_the_log(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    look(fleet, fleet.now + 8.5 * HOUR)
    found = token(fleet)
    for kind, group in (("ConfigMap", ""), ("NestedCluster", "nidus.dev"), ("Event", "events.k8s.io")):
        assert found not in str(fleet.host.objects(group, kind))
    assert found not in str(fleet.plans())
    printed = capsys.readouterr()
    assert found not in printed.out + printed.err


def test_a_sleeping_cluster_is_asked_for_none_and_gets_them_when_it_wakes(fleet: Fleet) -> None:
    first, asked = token(fleet), tokens(fleet)
    fleet.push(files(EDIT, sleep={"state": "Asleep"}))
    fleet.run()
    look(fleet, fleet.now + 9 * HOUR)
    assert (token(fleet), tokens(fleet)) == (first, asked)
    fleet.push(files(EDIT))
    fleet.run()
    assert token(fleet) != first


def test_a_cluster_without_them_costs_no_request_more() -> None:
    made = Fleet()
    made.push(files())
    made.run()
    look(made)
    assert not [one for one in made.host.log if one.name.startswith("nidus-kubeconfig")]
    state = made.state("a")
    assert state is not None and state.record.kubeconfigs is None
    made.close()


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ({**EDIT, "server": "external"}, "NID166", "no address outside"),
        ({**EDIT, "ttl": "5m"}, "NID166", "no token lives 5m"),
        ({**EDIT, "ttl": "400d"}, "NID166", "no token lives 400d"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_file(entry: Any, code: str, said: str) -> None:
    made = Fleet()
    made.push(files(entry))
    found = [one for one in made.git.read(made.git.newest, made.rules).violations if one.code == code]
    assert len(found) == 1 and said in found[0].message
    made.close()


def test_a_name_stands_once() -> None:
    made = Fleet()
    made.push(files(EDIT, {**VIEW, "name": "team-a"}))
    assert any("stands twice" in one.message for one in made.git.read(made.git.newest, made.rules).violations)
    made.close()


def test_the_address_outside_is_that_of_its_status() -> None:
    made = Fleet()
    made.push(files({**EDIT, "server": "external"}, expose={"type": "LoadBalancer"}))
    made.run()
    credentials(made)
    look(made)
    assert secret(made) is None
    assert made.reporter.clusters["a"].word != "Ready"
    service = made.host.get("", "Service", "vcluster-a", "a")
    assert service is not None
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    made.host.put({**service, "status": status}, subresource="status")
    look(made)
    assert content(made)["clusters"][0]["cluster"]["server"] == "https://192.0.2.1"
    made.close()
