"""What API servers answer about tokens and rights, of tenants too; and what stands in files that others wrote: lock files, and what a
command read before."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from reconciler.errors import UNREADABLE, NidusError
from reconciler.kube import review, tokens
from reconciler.kube.client import Client
from reconciler.kube.transport import Transport
from reconciler.model import Limits, ObjectRef, UserInfo
from reconciler.spec import lock, semver, stored
from tests.answering import DISCOVERY
from tests.fuzz import values
from tests.fuzz.answers import NO_TIME_TO_LOSE, Given
from tests.fuzz.content import told
from tests.fuzz.harness import Case
from tests.test_parsed import many

ACCOUNT = ObjectRef("", "ServiceAccount", "kube-system", "nidus-kubeconfig-ci")
ACCOUNTS = {"resource": "serviceaccounts", "scope": "Namespaced", "responseKind": {"kind": "ServiceAccount"}}
KNOWN = {**DISCOVERY, "items": [{"versions": [{"version": "v1", "resources": [ACCOUNTS]}]}]}
EVE = UserInfo("eve", groups=("a",))
SOUND: Mapping[str, Any] = {
    "token": {"status": {"token": "abc.def", "expirationTimestamp": "2030-01-01T00:00:00Z"}},
    "holder": {
        "status": {"authenticated": True, "user": {"username": "eve", "groups": ["a"], "extra": {"a/b": ["c"]}}}
    },
    "may": {"status": {"allowed": True}},
    "user": {"status": {"userInfo": {"username": "eve"}}},
}
ASKED: Mapping[str, Callable[[Client], object]] = {
    "token": lambda client: tokens.request(client, ACCOUNT, 3600),
    "holder": lambda client: review.holder(client, "abc"),
    "may": lambda client: review.another_may(client, EVE, "get", "nidus.dev", "nestedclusters", "nidus-system", "a"),
    "user": review.user,
}
ENTRY = {"digest": f"sha256:{'1' * 64}", "version": "1.2.3", "signature": f"sha256:{'2' * 64}"}
LOCK = {
    "content": {
        "https://charts.example.com web 1.2.x": ENTRY,
        "https://example.com/a.yaml": {"digest": ENTRY["digest"]},
    }
}


def answers() -> Case:
    """A token is one that a header can carry, with an end that is a time; only a clear yes is a right."""
    given = Given()
    given.groups = {**given.groups, "/api": json.dumps(KNOWN).encode()}
    client = Client(Transport(given, limits=NO_TIME_TO_LOSE))
    client.namespaced("", "ServiceAccount")
    asked = sorted(ASKED)

    def case(draw: Random) -> None:
        what = draw.choice(asked)
        sound = SOUND[what] if draw.random() < 0.2 else values.change(draw, SOUND[what])
        data = values.encoded(sound)
        given.status, given.headers = draw.choice((200, 201, 201, 403, 500)), {"Retry-After": ""}
        given.body = values.damage(draw, data) if draw.random() < 0.2 else data
        try:
            found = ASKED[what](client)
        except NidusError as error:
            told(error)
            return
        if isinstance(found, tokens.Token):
            assert found.value.isascii() and found.value.isprintable() and " " not in found.value
            assert math.isfinite(found.ends) and found.value not in repr(found)
        elif isinstance(found, UserInfo):
            assert found.name
        else:
            assert found is None or isinstance(found, bool | str)

    return case


def locks() -> Case:
    """A lock file that is not one in every part has no entries."""

    def case(draw: Random) -> None:
        changed = values.change(draw, LOCK)
        data = values.written(changed)
        found, wrong = lock.read(values.damage(draw, data) if draw.random() < 0.4 else data, Limits())
        assert not (found and wrong)
        assert all(one.message.isprintable() and len(one.message) < 2000 for one in wrong)
        assert all(semver.exact(one.version) for one in found.values() if one.version)

    return case


def remembered() -> Case:
    """What a command read before, damaged: whatever is left of it are files under the name that Git gives their bytes."""
    whole = stored.encode(many(4))

    def case(draw: Random) -> None:
        data = whole
        for _ in range(draw.randint(0, 3)):
            data = values.damage(draw, data)
        try:
            found = stored.decode(data)
        except UNREADABLE:
            return
        for one in found.values():
            made = hashlib.sha256 if len(one.oid) == 64 else hashlib.sha1
            assert made(b"blob %d\0" % len(one.data) + one.data).hexdigest() == one.oid

    return case
