"""What each answer of an API server means (A6), as a table, with bodies as a real server sends them."""

import json
from http.client import RemoteDisconnected
from typing import Any

import pytest
import urllib3.exceptions as http

from reconciler.errors import LINE
from reconciler.errors import ErrorClass as E
from reconciler.kube import errors
from reconciler.model import ObjectRef

CONFIG = ObjectRef("", "ConfigMap", "default", "a1")
SECRET = ObjectRef("", "Secret", "default", "s")
SET = ObjectRef("apps", "StatefulSet", "default", "web")


def status(reason: str = "", message: str = "", causes: Any = (), **details: str) -> bytes:
    found = {**details, "causes": [dict(zip(("field", "reason", "message"), cause, strict=True)) for cause in causes]}
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": found}).encode()


NO_SUCH = status("NotFound", 'configmaps "a1" not found', name="a1", kind="configmaps")
IMMUTABLE = "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"
POLICY = (
    "configmaps \"a1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: field is immutable"
)
TABLE = [
    ("absent", 404, NO_SUCH, "get", CONFIG, E.ABSENT),
    ("another object", 404, status("NotFound", name="a2", kind="configmaps"), "get", CONFIG, E.KIND_MISSING),
    ("another kind", 404, status("NotFound", name="a1", kind="secrets"), "get", CONFIG, E.KIND_MISSING),
    ("another group", 404, status("NotFound", name="a1", kind="configmaps", group="x"), "get", CONFIG, E.KIND_MISSING),
    ("namespace", 404, status("NotFound", name="nope", kind="namespaces"), "apply", CONFIG, E.NAMESPACE_MISSING),
    ("unknown path", 404, b"404 page not found\n", "get", CONFIG, E.KIND_MISSING),
    ("unknown kind", 404, status("NotFound", "the server could not find it"), "list", None, E.KIND_MISSING),
    ("proxy page", 404, b"<html>Not Found</html>", "get", CONFIG, E.KIND_MISSING),
    ("exists", 409, status("AlreadyExists"), "create", CONFIG, E.RACED),
    ("moved", 409, status("Conflict"), "replace", CONFIG, E.RACED),
    ("successor", 409, status("Conflict", "the UID in the precondition does not match"), "delete", CONFIG, E.RACED),
    ("field", 409, status("Conflict", causes=[(".data.a", "FieldManagerConflict", 'with "x"')]), "apply", CONFIG, E.FIELD_CONFLICT),
    ("leaving", 403, status("Forbidden", causes=[("metadata.namespace", "NamespaceTerminating", "")]), "apply", CONFIG, E.WAIT_NAMESPACE),
    ("quota", 403, status("Forbidden", "exceeded quota: q"), "apply", CONFIG, E.DENIED),
    ("who", 401, status("Unauthorized"), "get", CONFIG, E.UNAUTHENTICATED),
    ("expired", 410, status("Expired"), "watch", None, E.RELIST),
    ("schema", 422, status("Invalid", causes=[("spec.x", "FieldValueRequired", "Required value")]), "apply", SET, E.INVALID),
    ("immutable", 422, status("Invalid", causes=[("spec", "FieldValueForbidden", IMMUTABLE)]), "apply", SET, E.IMMUTABLE),
    ("role", 422, status("Invalid", causes=[("roleRef", "FieldValueInvalid", "cannot change roleRef")]), "apply", SET, E.IMMUTABLE),
    ("other uid", 422, status("Invalid", causes=[("metadata.uid", "FieldValueInvalid", "field is immutable")]), "apply", CONFIG, E.RACED),
    ("policy", 422, status("Invalid", POLICY, causes=[("", "", POLICY)]), "apply", CONFIG, E.DENIED),
    ("not a policy", 422, status("Invalid", 'spec.x: "denied request: immutable"'), "apply", CONFIG, E.IMMUTABLE),
    ("too large", 413, b"", "apply", CONFIG, E.REJECTED),
    ("bad", 400, status("BadRequest"), "apply", CONFIG, E.REJECTED),
    ("media", 415, b"", "apply", CONFIG, E.REJECTED),
    ("busy", 429, b"", "apply", CONFIG, E.TRANSIENT),
    ("typed", 500, status(message="failed to create typed patch object (/q): .dta: field not declared"), "apply", CONFIG, E.INVALID),
    ("webhook down", 500, status("InternalError", "failed calling webhook"), "apply", CONFIG, E.AMBIGUOUS),
    ("down, read", 503, b"<html>", "get", CONFIG, E.TRANSIENT),
    ("down, write", 503, b"<html>", "delete", CONFIG, E.AMBIGUOUS),
    ("gateway", 504, status("Timeout"), "create", CONFIG, E.AMBIGUOUS),
    ("redirect", 302, b"", "get", CONFIG, E.TRANSIENT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "body", "verb", "ref", "kind"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_each_answer_has_one_meaning(code: int, body: bytes, verb: str, ref: ObjectRef | None, kind: E) -> None:
    resource = "configmaps" if ref == CONFIG else ""
    assert errors.classify(code, body, verb, ref, resource=resource).kind is kind


def test_only_the_very_object_is_absent() -> None:
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"kind":"Status"}',
        b'{"kind":"Pod","reason":"NotFound"}',
        b"\xff\xfe",
        NO_SUCH[:-1],
    ]
    for code in (400, 401, 403, 404, 410, 500):
        for body in bodies:
            assert errors.classify(code, body, "get", CONFIG).kind is not E.ABSENT


def test_a_conflict_names_field_and_manager() -> None:
    body = status("Conflict", causes=[(".data.a", "FieldManagerConflict", 'conflict with "kubectl-edit" using v1')])
    assert errors.classify(409, body, "apply", SECRET).causes == (
        (".data.a", "FieldManagerConflict", 'conflict with "kubectl-edit" using v1'),
    )


def test_a_secret_keeps_its_value() -> None:
    cause = ("data", "FieldValueInvalid", 'Invalid value: "hunter2"')
    error = errors.classify(422, status("Invalid", 'Secret "s" is invalid: "hunter2"', [cause]), "apply", SECRET)
    assert error.message == "apply Secret/default/s: Invalid (data)"
    assert error.causes == (("data", "FieldValueInvalid", ""),)


def test_a_hostile_sentence_is_one_printable_line() -> None:
    error = errors.classify(403, status("Forbidden", "a\x1b[2J\nb" + "x" * 5000), "apply", CONFIG)
    assert error.message.startswith("a\\u001b[2J b")
    assert len(error.message) == LINE


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0.0), ("7", 7.0), ("9999", 60.0), ("soon", None), ("-1", None), ("", None)]
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert errors.classify(429, b"", "get", CONFIG, after=header).after == seconds


def test_a_write_is_ambiguous_only_once_bytes_were_sent() -> None:
    lost, refused = http.ProtocolError("reset"), http.NewConnectionError(None, "refused")  # type: ignore[arg-type]
    assert errors.translate(lost, True).kind is E.AMBIGUOUS
    assert errors.translate(lost, False).kind is E.TRANSIENT
    assert errors.translate(refused, True).kind is E.TRANSIENT
    for cause, kind in (
        (refused, E.TRANSIENT),
        (OSError("Tunnel connection failed: 403 Forbidden"), E.TRANSIENT),
        (RemoteDisconnected("without response"), E.AMBIGUOUS),  # what the proxy passed on may have been done
    ):
        assert errors.translate(http.ProxyError("Unable to connect to proxy", cause), True).kind is kind
    assert errors.broken("apply", "x").kind is E.AMBIGUOUS
    assert errors.broken("get", "x").kind is E.TRANSIENT
