"""A small client of the API server for what lives inside the host: plain dicts, client certificates, deadlines.

Deliberately not the product's client, so that a fault there cannot mask itself in a test. Paths come from a spelling
rule instead of discovery: enough for built-in kinds and for resources whose plural is regular.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import urllib3
from urllib3.util import Timeout

from devhost.errors import HostError

Object = dict[str, Any]
DEADLINE: Final = 20.0
"""Seconds one request may take, watches excepted."""
WATCH_SECONDS: Final = 600
MANAGER: Final = "devhost"

_TYPES: Final = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class ApiError(HostError):
    """The API server refused (`status` is its HTTP code) or did not answer (`status` 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a server and as whom: URL, authority, client certificate files or a token, and whom to act as."""

    server: str
    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    token: str = ""
    act_as: str = ""
    tls_name: str = ""
    """The name the server's certificate must carry, where it differs from the URL's host."""
    agent: str = "devhost"
    """User agent, by which the server names the manager of fields set without server-side apply."""


class Client:
    """Requests to one API server, from any number of threads."""

    def __init__(self, access: Access, *, connections: int = 16) -> None:
        context = ssl.create_default_context(cafile=str(access.ca))
        if access.certificate and access.key:
            context.load_cert_chain(access.certificate, access.key)
        self.access = access
        pinned = access.tls_name or None
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            ssl_context=context,
            retries=False,
            timeout=Timeout(connect=5, read=DEADLINE),
            server_hostname=pinned,
            assert_hostname=pinned,
        )
        self._headers = {"Accept": "application/json", "User-Agent": access.agent}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        if access.act_as:
            self._headers["Impersonate-User"] = access.act_as

    def get(self, api: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return the object, None when it is not there."""
        try:
            return self.request("GET", path_of(api, kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, api: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> Object:
        """Return the whole list object (`items`, `metadata.resourceVersion`)."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        return self.request("GET", path_of(api, kind, namespace), query=query)

    def create(self, body: Object) -> Object:
        """Create `body`; ApiError with status 409 when it exists."""
        path = path_of(body["apiVersion"], body["kind"], body["metadata"].get("namespace", ""))
        return self.request("POST", path, body)

    def apply(self, body: Object, *, subresource: str = "", manager: str = MANAGER) -> Object:
        """Server-side apply, taking over fields others hold."""
        meta = body["metadata"]
        path = path_of(body["apiVersion"], body["kind"], meta.get("namespace", ""), meta["name"], subresource)
        return self.request("PATCH", path, body, query={"fieldManager": manager, "force": "true"}, patch="apply")

    def replace(self, body: Object) -> Object:
        """Replace the object as a whole; ApiError 409 when its resourceVersion is not the live one."""
        meta = body["metadata"]
        return self.request(
            "PUT", path_of(body["apiVersion"], body["kind"], meta.get("namespace", ""), meta["name"]), body
        )

    def patch(
        self, api: str, kind: str, name: str, namespace: str, body: Any, *, subresource: str = "", form: str = "merge"
    ) -> Object:
        """Patch one object; `form` is merge, json or strategic."""
        return self.request("PATCH", path_of(api, kind, namespace, name, subresource), body, patch=form)

    def delete(
        self, api: str, kind: str, name: str, namespace: str = "", *, grace: int | None = None, uid: str = ""
    ) -> bool:
        """Delete; False when the object (or the one with `uid`) is not there. `grace` in seconds, 0 at once."""
        body: Object = {"propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path_of(api, kind, namespace, name), body)
        except ApiError as error:
            if error.status == 404 or (uid and error.status == 409):
                return False
            raise
        return True

    def watch(
        self, api: str, kind: str, version: str, namespace: str = "", *, labels: str = "", seconds: int = WATCH_SECONDS
    ) -> Iterator[tuple[str, Object]]:
        """Yield (type, object) from resourceVersion `version` on, bookmarks included, until the server ends the watch."""
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "labelSelector": labels,
            "timeoutSeconds": str(seconds),
        }
        url = self._url(path_of(api, kind, namespace), query)
        timeout = Timeout(connect=5, read=seconds + 15)
        response = self._send("GET", url, self._headers, None, timeout, stream=True)
        try:
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                yield event["type"], event["object"]
        finally:
            response.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        patch: str = "",
        deadline: float = DEADLINE,
    ) -> Object:
        """Send one request and return the decoded answer; ApiError for every answer that is not a success."""
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = _TYPES[patch] if patch else "application/json"
        data = None if body is None else json.dumps(body).encode()
        response = self._send(
            method, self._url(path, query), headers, data, Timeout(connect=min(5, deadline), read=deadline)
        )
        if response.status >= 400:
            raise _refusal(response.status, response.data)
        text = response.data
        decoded = json.loads(text) if text[:1] in (b"{", b"[") else {"text": text.decode(errors="replace")}
        return decoded if isinstance(decoded, dict) else {"items": decoded}

    def ready(self, deadline: float = 3.0) -> bool:
        """Tell whether /readyz answers ok within `deadline` seconds."""
        try:
            return self.request("GET", "/readyz", deadline=deadline).get("text") == "ok"
        except ApiError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        pairs = {key: value for key, value in (query or {}).items() if value}
        return f"{self.access.server}{path}" + (f"?{urlencode(pairs)}" if pairs else "")

    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | None,
        timeout: Timeout,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method, url, headers=headers, body=data, timeout=timeout, preload_content=not stream, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, type(error).__name__, f"{self.access.server} did not answer") from error


def path_of(api: str, kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Return the REST path: `api` is v1 or group/version; the plural follows English spelling."""
    root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
    parts = [root, *(["namespaces", namespace] if namespace else []), plural(kind), name, subresource]
    return "/".join(quote(part, safe="/:") for part in parts if part)


def plural(kind: str) -> str:
    """Return the resource name of a kind (`NetworkPolicy` -> networkpolicies; Endpoints is its own plural)."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    try:
        for chunk in response.read_chunked():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from filter(None, lines)
    except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
        # AttributeError and ValueError: what urllib3 raises when another thread closes the response being read
        raise ApiError(0, type(error).__name__, "the watch broke off") from error


def _refusal(status: int, body: bytes) -> ApiError:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    reason, message = answer.get("reason", ""), answer.get("message", "")
    return ApiError(status, reason, message or f"HTTP {status}")
