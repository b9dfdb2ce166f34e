"""Kubeconfigs that Nidus makes: they work inside, the one before works on, and none does once its entry left (O12)."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest

from devhost.api import ApiError, Client
from reconciler.model import Issued, replace
from tests.host.field import Field
from tests.host.promises import standing, write_cluster

# clusters of a shared host have one API server inside: the binding of a role is one for them all
pytestmark = [pytest.mark.host, pytest.mark.long, pytest.mark.xdist_group("kubeconfigs")]
SECRET = "nidus-kubeconfig-ci"


def test_a_kubeconfig_works_is_renewed_and_ends(shared_field: Field) -> None:
    field = shared_field
    entry = {"name": "ci", "role": "view", "ttl": "1h"}
    name, inside = standing(field, "kept", access={"kubeconfigs": [entry]})
    home = f"vcluster-{name}"
    first = field.until("its Secret is there", lambda: written(field, home))
    assert first["clusters"][0]["cluster"]["server"] == f"https://{name}.{home}.svc"
    with using(field, inside, first) as one:
        field.until("its server knows its rights", lambda: can_list(one, f"{name}-web"))
        maps = one.list("v1", "ConfigMap", f"{name}-web")["items"]
        assert "kept" in {item["metadata"]["name"] for item in maps}
        assert status(one, name) == 403

        write_cluster(field, access={"kubeconfigs": [{**entry, "ttl": "2h"}]})
        field.push("another life")
        second = field.until("it has another token", lambda: other(written(field, home), first))
        with using(field, inside, second) as two:
            field.until("so has its server", lambda: can_list(two, f"{name}-web"))
            assert one.list("v1", "ConfigMap", f"{name}-web")["items"]

            write_cluster(field)
            field.push("nobody gets in")
            field.until("it is gone", lambda: written(field, home) is None)
            for client in (one, two):
                field.until("its token is refused", lambda each=client: status(each, name) == 401)


def test_a_kubeconfig_is_replaced_in_time_without_a_failed_request(shared_field: Field) -> None:
    """At 80 % of its life: the record is made that much older while no controller runs, since the least that a server gives is ten minutes.
    Who uses the old one and who reads the new one sees no refusal, until the entry goes."""
    field = shared_field
    name, inside = standing(field, "kept", access={"kubeconfigs": [{"name": "ci", "role": "view", "ttl": "10m"}]})
    home = f"vcluster-{name}"
    first = field.until("its Secret is there", lambda: written(field, home))
    field.until("its end is on record", lambda: all(one.ends for one in issued(field, name)))
    assert field.controller
    field.controller.kill()
    with using(field, inside, first) as one, Asking(one, name) as asking:
        age(field, name, 300.0)
        field.start()
        field.wait(name)
        asking.more()
        assert written(field, home) == first, "not before its time"
        field.controller.kill()
        age(field, name, 181.0)
        field.start()
        second = field.until("it has another token", lambda: other(written(field, home), first))
        with using(field, inside, second) as two, Asking(two, name) as newer:
            asking.more()
            newer.more()
            assert (asking.refused, newer.refused) == ([], [])
            print(f"requests with the old token {asking.answered}, with the new one {newer.answered}, none refused")
            write_cluster(field)
            field.push("nobody gets in")
            field.until("it is gone", lambda: written(field, home) is None)
            for client in (one, two):
                field.until("its token is refused", lambda each=client: status(each, name) == 401)


class Asking:
    """Somebody who lists ConfigMaps with a token, again and again."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._space = client, f"{name}-web"
        self._turn, self._ended = threading.Condition(), False
        self.answered, self.refused = 0, list[str]()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._ended = True
        self._thread.join(60)

    def more(self) -> None:
        """Wait until a request that begins from now on is answered, or one was refused."""
        with self._turn:
            after = self.answered + 2
            assert self._turn.wait_for(lambda: self.answered >= after or self.refused, 60)

    def _ask(self) -> None:
        while not self._ended:
            try:
                self._client.list("v1", "ConfigMap", self._space)
            except ApiError as error:
                with self._turn:
                    self.refused.append(str(error))
                    self._turn.notify_all()
                    return
            with self._turn:
                self.answered += 1
                self._turn.notify_all()


def issued(field: Field, name: str) -> tuple[Issued, ...]:
    """What is on record of a cluster's kubeconfigs."""
    with field.stored() as store:
        known = store.read(name).record.kubeconfigs
    return known.issued if known is not None else ()


def age(field: Field, name: str, seconds: float) -> None:
    """The tokens of a cluster are on record as that much older."""
    with field.stored() as store:
        state = store.read(name)
        known = state.record.kubeconfigs
        assert all(590.0 < one.ends - one.at <= 600.0 for one in known.issued)
        older = tuple(replace(one, at=one.at - seconds, ends=one.ends - seconds) for one in known.issued)
        store.write(replace(state, record=replace(state.record, kubeconfigs=replace(known, issued=older))))


def written(field: Field, home: str) -> Any:
    found = field.admin.get("v1", "Secret", SECRET, home)
    return json.loads(base64.b64decode(found["data"]["config"])) if found else None


def other(found: Any, first: Any) -> Any:
    return found if found and found["users"] != first["users"] else None


def using(field: Field, inside: Client, config: Any) -> Client:
    """A client with the token of a kubeconfig and its certificate authority."""
    ca = field.stage.folder / "kubeconfig-ca.crt"
    ca.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    token = config["users"][0]["user"]["token"]
    return Client(replace(inside.access, ca=ca, certificate=None, key=None, token=token))


def status(client: Client, name: str) -> int:
    """What the API server says to a write that this role may not do."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": f"{name}-web"}}
    try:
        client.create(body)
    except ApiError as error:
        return error.status
    return 201


def can_list(client: Client, namespace: str) -> bool:
    """Whether the API server lets it: the moment after a binding was written it may not know it yet."""
    try:
        return bool(client.list("v1", "ConfigMap", namespace)["items"])
    except ApiError:
        return False
