"""Who attacks in `replays`, and how: again and again, by commits of the hostile source or with the rights of somebody."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from bench.hostile import Attack, Phase, Run, repeated
from devhost import account
from devhost.api import Client
from reconciler.model import replace

AGAIN: Final = 1.0
"""Seconds between two tries of an attacker."""
EVE: Final = "eve"
"""A person with Role nidus-operator."""
Files = Mapping[str, str]
Act = Callable[[Run, int], None]


def again(act: Act) -> Attack:
    """Try it now and every second until the block ends; what is refused ends nothing and is counted, with what was said."""

    @contextmanager
    def attack(one: Run, phase: Phase) -> Iterator[None]:
        numbers = itertools.count(1)

        def trying() -> None:
            try:
                act(one, next(numbers))
                phase.answered["done"] += 1
            except Exception as error:
                phase.answered["refused"] += 1
                phase.refusals.append(str(error))

        with repeated(trying, AGAIN):
            yield

    return attack


def commits(made: Callable[[int], Files]) -> Attack:
    """A commit of the hostile source, another one each time."""
    return again(lambda one, number: commit(one, made(number), f"evil {number}"))


def commit(one: Run, files: Files, message: str) -> None:
    """Beside the attacker's own cluster the hostile source then holds these files alone."""
    work = one.other.repository.work
    for path in work.glob("*.yaml"):
        path.unlink()
    for name, text in files.items():
        (work / name).write_text(text)
    one.other.repository.commit(message)
    one.other.repository.push()


def acting(one: Run, who: str) -> Client:
    """A client of the host with the rights of somebody else."""
    return Client(replace(one.made.admin.access, act_as=who))


def operator(one: Run) -> None:
    """Eve gets the shipped role."""
    subject = {"kind": "User", "name": EVE, "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "Role", "name": "nidus-operator", "apiGroup": "rbac.authorization.k8s.io"}
    metadata = {"name": "eve", "namespace": account.SYSTEM}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    one.made.admin.create({**kind, "metadata": metadata, "roleRef": role, "subjects": [subject]})
