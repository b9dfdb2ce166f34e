"""The S3 server of the tests, run by the interpreter of its own environment: moto behind a gate that checks who signed.

moto takes everything. The gate refuses what no key that it knows has signed, as a real store does, and misbehaves where a test says so.
Its first argument are the keys as JSON (access key -> secret key); it prints its port, and ends with its standard input.
"""

import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

OWNER = "Credential=a/"  # the test itself, which needs no key
REFUSED = "<Error><Code>{}</Code><Message>about {}</Message></Error>"


class Gate:
    """A WSGI application before another."""

    def __init__(self, app: Any, keys: dict[str, str]) -> None:
        self._app, self._keys = app, keys
        self._fault: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/-/fault":
            self._fault = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)) or b"{}")
            return _said(start, "200 OK", "")
        if OWNER in environ.get("HTTP_AUTHORIZATION", ""):
            return self._app(environ, start)  # type: ignore[no-any-return]
        if self._fault:
            return self._misbehaves(start)
        why = refusal(environ, self._keys)
        return _said(start, "403 Forbidden", why) if why else self._app(environ, start)

    def _misbehaves(self, start: Callable[..., Any]) -> Iterable[bytes]:
        fault = self._fault
        fault["times"] = fault.get("times", 1 << 30) - 1
        if not fault["times"]:
            self._fault = {}
        headers = [(name, value) for name, value in fault.get("headers", {}).items()]
        body = str(fault.get("body", "")).encode()
        start(fault["status"], [*headers, ("Content-Length", str(fault.get("length", len(body))))])
        return [body]


def refusal(environ: dict[str, Any], keys: dict[str, str]) -> str:
    """The body of the answer to a request that no known key signed, in its query or in a header; "" where one did."""
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    signed = _by_header(environ) if environ.get("HTTP_AUTHORIZATION") else _by_query(query)
    access, _, scope = signed["Credential"].partition("/")
    if not access:
        return REFUSED.format("AccessDenied", "nobody")
    if access not in keys:
        return REFUSED.format("InvalidAccessKeyId", access)
    told = "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
    path = environ["REQUEST_URI"].partition("?")[0]
    names = signed["SignedHeaders"]
    heads = "".join(f"{name}:{_head(environ, name)}\n" for name in names.split(";"))
    asked = [environ["REQUEST_METHOD"], path, told, heads, names, signed["Payload"]]
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    key = f"AWS4{keys[access]}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", signed["Date"], scope, digest])
    right = hmac.digest(key, text.encode(), "sha256").hex()
    return "" if hmac.compare_digest(right, signed["Signature"]) else REFUSED.format("SignatureDoesNotMatch", access)


def _by_query(query: dict[str, str]) -> dict[str, str]:
    """The parts of the signature of an address; the signature itself is taken out of the query."""
    found = {name: query.get(f"X-Amz-{name}", "") for name in ("Credential", "Date", "SignedHeaders")}
    return found | {"Signature": query.pop("X-Amz-Signature", ""), "Payload": "UNSIGNED-PAYLOAD"}


def _by_header(environ: dict[str, Any]) -> dict[str, str]:
    """The parts of the signature of a request."""
    parts = environ["HTTP_AUTHORIZATION"].partition(" ")[2].split(",")
    found = {name.strip(): value for name, _, value in (one.partition("=") for one in parts)}
    more = {"Date": _head(environ, "x-amz-date"), "Payload": _head(environ, "x-amz-content-sha256")}
    return {"Credential": "", "SignedHeaders": "", "Signature": ""} | found | more


def _head(environ: dict[str, Any], name: str) -> str:
    known = name.upper().replace("-", "_")
    return str(environ.get(known if known in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{known}", "")).strip()


def _said(start: Callable[..., Any], status: str, body: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body.encode())))])
    return [body.encode()]


def main() -> None:
    gate = Gate(DomainDispatcherApplication(create_backend_app), json.loads(sys.argv[1]))
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=MotoRequestHandler)  # type: ignore[arg-type]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
