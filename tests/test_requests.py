"""What people ask for, as objects on the home cluster: what is believed of them, and what removing one may touch."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.controller import requests as rounds
from reconciler.inventory import requests
from tests.shell import NAMESPACE, Shell

VICTIM = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nidus", "namespace": NAMESPACE}}


@pytest.fixture
def shell() -> Iterator[Shell]:
    made = Shell()
    yield made
    made.close()


def old(shell: Shell, where: str, kind: str, **more: Any) -> None:
    """A request as releases before the kind Request stored it."""
    told = {"kind": kind, "source": "", "cluster": "", "who": "eve", "created": 1.0, "name": where, **more}
    metadata = {"name": where, "namespace": NAMESPACE, "labels": {"nidus.dev/request": kind}}
    shell.host.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"request": json.dumps(told)}}
    )


def heard(shell: Shell) -> None:
    """One round over the requests."""
    rounds.heard(shell.client, NAMESPACE, shell.registry, shell.queue, lambda: None)


@pytest.mark.xfail(strict=True, reason="the name of the object to remove is read from what its writer wrote")
@pytest.mark.parametrize("where", ["nidus-request-approve-a", "a"])
def test_a_spent_request_takes_nothing_with_it(shell: Shell, where: str) -> None:
    shell.host.put(VICTIM)
    old(shell, where, "approve", expires=2, name="nidus")
    heard(shell)
    assert shell.host.get("", "ConfigMap", NAMESPACE, "nidus") is not None


@pytest.mark.xfail(strict=True, reason="the time of a request is what its writer says")
def test_no_suspension_outlives_its_resume(shell: Shell) -> None:
    old(shell, "nidus-request-suspend-a", "suspend", cluster="team-a", created=9e15)
    old(shell, "nidus-request-resume-a", "resume", cluster="team-a", created=time.time())
    assert requests.suspended(requests.load(shell.client, NAMESPACE), "team-a", time.time()) is None
