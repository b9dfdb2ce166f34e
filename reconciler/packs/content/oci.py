"""Charts in OCI registries: token, manifest, blob, each by digest (OCI distribution 1.1; Docker's token authentication; Helm's HIP-6)."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from reconciler import decoding
from reconciler.errors import UNREADABLE
from reconciler.model import ContentAllow
from reconciler.packs.content import access
from reconciler.packs.content.access import Access, refused
from reconciler.packs.content.client import Answer, Asked, Client, Put, failure
from reconciler.packs.signed import BUNDLE
from reconciler.patterns import lazy
from reconciler.spec import addresses

T = TypeVar("T")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
INDEX = "application/vnd.oci.image.index.v1+json"
SIGNATURES = 8
"""Signatures of one chart that are looked at."""
MANIFEST_SIZE, _TOKEN_SIZE, _LIST_SIZE = 1 << 20, 1 << 16, 4 << 20  # bytes
_PAGE, _PAGES = 1000, 20
_CHALLENGED, _ABSENT = frozenset({401}), frozenset({404})
_PARAMETER = lazy(r'(?<![a-z])([a-z]{1,32})="([^"\\]{0,2048})"', re.ASCII)
_TOKEN = lazy(r"[A-Za-z0-9._~+/=-]{1,16384}", re.ASCII)
_DIGEST = lazy(r"sha256:([0-9a-f]{64})", re.ASCII)


class _Piece(Struct):
    digest: str = ""
    mediaType: str = ""  # noqa: N815 (the format's own name)


class _Manifest(Struct):
    layers: list[_Piece] = []


class _Described(Struct):
    digest: str = ""
    artifactType: str = ""  # noqa: N815


class _Index(Struct):
    manifests: list[_Described] = []


class _Tags(Struct):
    tags: list[str] | None = None


class _Token(Struct):
    token: str = ""
    access_token: str = ""


class Repository:
    """One repository of charts, `oci://HOST/PATH`, as one fetch uses it: what the registry gave us to show is kept for the next request."""

    def __init__(self, address: str, rules: Access, client: Client) -> None:
        self.place = rules.place(address)
        self.secret: Mapping[str, str] = {}
        self._rules, self._client = rules, client
        name, _, self._path = address.removeprefix("oci://").partition("/")
        self._base = f"{'http' if self.place.plain_http else 'https'}://{name}/v2/{self._path}"

    def manifest(self, reference: str, *, fixed: bool) -> bytes:
        """The manifest of a tag or a digest. Raises as `fetch.bring`."""
        return self._get(f"manifests/{reference}", MANIFEST_SIZE, fixed=fixed)

    def blob(self, digest: str) -> str:
        """The address of a blob, by its hex digest."""
        return f"{self._base}/blobs/sha256:{digest}"

    def tags(self) -> list[str]:
        """Every tag. Raises as `fetch.bring`; Stalled where there are too many."""
        found: list[str] = []
        for _ in range(_PAGES):
            query = urlencode({"n": _PAGE} | ({"last": found[-1]} if found else {}))
            page = _decoded(self._get(f"tags/list?{query}", _LIST_SIZE, fixed=False), _Tags, self._base).tags or []
            if not page or page[-1:] == found[-1:]:
                return found
            found += page
        raise refused(f"{self._base}: more than {_PAGES * _PAGE} tags", "write the version and not a range")

    def signatures(self, digest: str) -> Iterator[bytes]:
        """The manifests of the signatures of what has this hex digest, as cosign leaves them: by a tag, or as what refers to it (OCI
        distribution 1.1, with its tag where a registry has no referrers). Raises as `fetch.bring`."""
        tagged = self._get(f"manifests/sha256-{digest}.sig", MANIFEST_SIZE, fixed=False, absent=True)
        if tagged:
            yield tagged
        index = self._get(f"referrers/sha256:{digest}", _LIST_SIZE, fixed=False, absent=True)
        index = index or self._get(f"manifests/sha256-{digest}", _LIST_SIZE, fixed=False, absent=True)
        named = _decoded(index, _Index, self._base).manifests if index else []
        bundles = [one.digest for one in named if one.artifactType.startswith(BUNDLE) and _DIGEST.fullmatch(one.digest)]
        for one in bundles[:SIGNATURES]:
            yield checked(self.manifest(one, fixed=True), one.removeprefix("sha256:"), self._base)

    def _get(self, path: str, most: int, *, fixed: bool, absent: bool = False) -> bytes:
        """An answer; with `absent` b"" where there is none."""
        found = bytearray()

        def put(answer: Answer) -> Put:
            return found.extend if answer.status == 200 else (lambda chunk: None)

        def asked() -> Asked:
            accept, address = {"Accept": f"{MANIFEST}, {INDEX}"}, f"{self._base}/{path}"
            takes = _CHALLENGED | _ABSENT if absent else _CHALLENGED
            return Asked(address, self.place, most, fixed, accept, takes, self.secret)

        answer = self._client.ask(asked(), put)
        if answer.status == 401 and not self.secret:
            self.secret = self._shown(answer)
            answer = self._client.ask(asked(), put)
        if answer.status == 401:
            raise failure(self._base, answer)
        return bytes(found)

    def _shown(self, answer: Answer) -> dict[str, str]:
        """What the registry wants to see, as it says in its challenge (RFC 9110, 11.6.1)."""
        kind, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "bearer":
            return {"Authorization": f"Bearer {self._token(dict(_PARAMETER.findall(rest)))}"}
        name, password = access.credentials(self.place)
        if kind.lower() != "basic" or not (name or password):
            raise failure(self._base, answer)
        return {"Authorization": access.basic(name, password)}

    def _token(self, told: Mapping[str, str]) -> str:
        """A token to read this one repository, whatever the challenge asks for."""
        realm = told.get("realm", "")
        if not addresses.plain(realm):
            raise refused(f"{self._base}: its registry names no address for tokens")
        scope = {"service": told.get("service", ""), "scope": f"repository:{self._path}:pull"}
        place = self._keeper(realm)
        name, password = access.credentials(place) if place is not None else ("", "")
        secret = {"Authorization": access.basic(name, password)} if name or password else {}
        query = Asked(f"{realm}?{urlencode(scope)}", place or self.place, _TOKEN_SIZE, True, {}, frozenset(), secret)
        found = bytearray()
        self._client.follow(query, lambda answer: found.extend)
        answer = _decoded(bytes(found), _Token, self._base)
        token = answer.token or answer.access_token
        if not _TOKEN.fullmatch(token):
            raise refused(f"{self._base}: its registry gives no token")
        return token

    def _keeper(self, realm: str) -> ContentAllow | None:
        """Whose credentials the giver of tokens may see: the registry's own, if it is the registry; those that the operator gave for that
        very address, if this registry's `via` names its host, for the token goes to this registry; None for nobody's."""
        if addresses.origin(realm) == access.home(self.place):
            return self.place
        return addresses.allowed(realm, self._rules.allow or ()) if access.named(realm, self.place) else None


def chart_of(manifest: bytes, address: str) -> str:
    """The hex digest of the chart's archive. Raises Stalled(ContentRefused) where the manifest is of something else."""
    found = _only(manifest, CHART, address)
    if not found:
        raise refused(f"{address}: what is there is no chart", "an image, or an index of several?")
    return found


def provenance_of(manifest: bytes, address: str) -> str:
    """The hex digest of the chart's provenance file. Raises Stalled(ContentRefused) where it has none."""
    found = _only(manifest, PROVENANCE, address)
    if not found:
        raise refused(f"{address}: the chart has no provenance file", "push it beside its .prov file, or remove verify")
    return found


def _only(manifest: bytes, kind: str, address: str) -> str:
    """The hex digest of the one layer of a kind; "" where there is none, or several."""
    found = [one.digest for one in _decoded(manifest, _Manifest, address).layers if one.mediaType == kind]
    digest = _DIGEST.fullmatch(found[0]) if len(found) == 1 else None
    return digest[1] if digest else ""


def checked(manifest: bytes, digest: str, address: str) -> bytes:
    """The manifest, where it has this digest. Raises Stalled(ContentRefused)."""
    found = hashlib.sha256(manifest).hexdigest()
    if found != digest:
        raise refused(f"{address}: the manifest has the digest sha256:{found[:12]}..., and not sha256:{digest[:12]}...")
    return manifest


def signatures_of(manifest: bytes, address: str) -> list[str]:
    """The hex digests of what a manifest of signatures names. Raises Stalled(ContentRefused) where that is too much, or nothing."""
    named = [_DIGEST.fullmatch(one.digest) for one in _decoded(manifest, _Manifest, address).layers]
    found = [one[1] for one in named if one]
    if not found or len(found) > SIGNATURES or len(found) < len(named):
        raise refused(f"{address}: what is there is no signature, or more than {SIGNATURES} of them")
    return found


def tag(version: str) -> str:
    """How a chart's version is tagged: a tag has no + (Helm)."""
    return version.replace("+", "_")


def _decoded(data: bytes, kind: type[T], address: str) -> T:
    try:
        return decoding.decoded(data, kind)
    except UNREADABLE:
        raise refused(f"{urlsplit(address).netloc}: an answer in a form that is no registry's") from None
