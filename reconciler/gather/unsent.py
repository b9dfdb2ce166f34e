"""Values of Secrets in what is tried on a server for a plan that nobody accepted yet (P5). The administrator of a nested cluster sees what
its webhooks are asked about, dry-runs included: whoever proposes to bring a Secret there, by an encrypted file or a shared Secret, must
not have it read there before somebody accepts that. So the server is sent a stand-in for each value that it does not have.
"""

import base64
from collections.abc import Mapping
from typing import Any

from reconciler.model import Object
from reconciler.plan import secretdata

STAND_IN = base64.b64encode(b'{"nidus": "this value is not sent before it is merged"}').decode()
"""A JSON object: the API server reads the data of Secrets of types kubernetes.io/dockerconfigjson and dockercfg as one, and no other."""

NO_DATA = "*"
"""In the place of what is no base64 text."""


def without(body: Object, live: Object | None = None) -> Object:
    """The object as it is sent. What the `live` one holds already stays: the server knows it, and judges what is immutable by it."""
    if not secretdata.is_secret(body) or "data" not in body:
        return body
    known = _data(live)
    return {**body, "data": {key: one if known.get(key) == one else _stand_in(one) for key, one in _data(body).items()}}


def restored(merged: Object, body: Object) -> Object:
    """The answer to it, as if `body` had been sent."""
    if not secretdata.is_secret(body):
        return merged
    meant = _data(body)
    data = {key: meant.get(key, one) if one == STAND_IN else one for key, one in _data(merged).items()}
    return {**merged, "data": data} if "data" in merged else merged


def _stand_in(value: Any) -> str:
    """What the server refuses stays refused."""
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        return NO_DATA
    return STAND_IN


def _data(one: Object | None) -> Mapping[str, Any]:
    """`stringData` is written into `data` where our marks are put on (plan/mark.py)."""
    found = (one or {}).get("data")
    return found if isinstance(found, Mapping) else {}
