"""Content from elsewhere as repositories, registries and object stores may answer: indexes, manifests, tokens, archives."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from reconciler import archives as snapshots
from reconciler import stores as snapshot_stores
from reconciler.errors import NidusError
from reconciler.model import ContentAllow
from reconciler.packs import archives as charts
from reconciler.packs import signed
from reconciler.packs.content import index, oci
from reconciler.packs.content.access import Access
from reconciler.packs.content.client import Answer, Asked, Put
from tests.content import keyless, signing
from tests.content.server import packed as packed_chart
from tests.fuzz import values
from tests.fuzz.harness import Case

REPO = "https://charts.example.com/stable"
OCI = "oci://ghcr.example.com/acme/web"
SHA = "a" * 64
WEB = {"version": "1.2.3", "urls": ["web-1.2.3.tgz"], "digest": SHA}
INDEX = {
    "apiVersion": "v1",
    "entries": {"api": [{**WEB, "urls": ["api.tgz"]}], "web": [WEB, {**WEB, "version": "1.2.4"}]},
}
LAYER = {"mediaType": oci.CHART, "digest": f"sha256:{SHA}", "size": 100}
MANIFEST = {"schemaVersion": 2, "config": {"digest": f"sha256:{SHA}"}, "layers": [LAYER]}
CHALLENGE = 'Bearer realm="https://ghcr.example.com/token",service="ghcr.example.com",scope="repository:acme/web:pull"'
NAMES = (
    "web/Chart.yaml",
    "web/values.yaml",
    "web/templates/a.yaml",
    "web/charts/sub.tgz",
    "../x",
    "/etc/passwd",
    "a\\b",
    "web/../../x",
)
LONGEST = 2000  # characters of a message


def indexes() -> Case:
    """The index of a repository of charts, in YAML and in JSON."""
    plain = yaml.safe_dump(INDEX).encode()

    def case(draw: Random) -> None:
        changed = values.change(draw, INDEX)
        data = draw.choice((values.written, values.encoded, lambda _: plain))(changed)
        try:
            for one in index.versions(values.damage(draw, data) if draw.random() < 0.4 else data, "web", REPO):
                assert isinstance(one.url, str) and (not one.digest or len(one.digest) == 64)
        except NidusError as error:
            told(error)

    return case


class Given:
    """In place of the network: a registry that answers by what a case drew. `asked` are the addresses, with what was shown there."""

    def __init__(self) -> None:
        self.draw = Random(0)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def ask(self, asked: Asked, put: Callable[[Answer], Put]) -> Answer:
        return self._answer(asked, put, self.draw.choice((200, 200, 401)))

    def follow(self, asked: Asked, put: Callable[[Answer], Put]) -> Answer:
        return self._answer(asked, put, 200)

    def _answer(self, asked: Asked, put: Callable[[Answer], Put], status: int) -> Answer:
        self.asked.append((asked.address, dict(asked.secret)))
        draw = self.draw
        answer = Answer(status, {"www-authenticate": challenge(draw)})
        known: Any = {"tags": ["1.2.3"]} if "/tags/" in asked.address else MANIFEST
        sound = {"token": "abc"} if status == 200 and "token" in asked.address else known
        data = values.encoded(sound if draw.random() < 0.5 else values.change(draw, sound))
        put(answer)((values.damage(draw, data) if draw.random() < 0.2 else data)[: asked.most])
        return answer


def challenge(draw: Random) -> str:
    if draw.random() < 0.5:
        return CHALLENGE
    return (
        values.damage(draw, CHALLENGE.encode()).decode("utf-8", "replace")
        if draw.random() < 0.7
        else draw.choice(values.TEXTS)
    )


def registries() -> Case:
    """Challenges, tokens, manifests and tags of a registry; nothing but a token of its own is shown to it."""
    given = Given()
    rules = Access((ContentAllow(prefix="oci://ghcr.example.com/acme"),))

    def case(draw: Random) -> None:
        given.draw, given.asked = draw, []
        repository = oci.Repository(OCI, rules, given)  # type: ignore[arg-type]
        try:
            if draw.random() < 0.3:
                assert all(isinstance(tag, str) for tag in repository.tags())
            else:
                found = repository.manifest("1.2.3", fixed=False)
                assert len(oci.chart_of(found, OCI)) == 64
                oci.checked(found, hashlib.sha256(found).hexdigest(), OCI)
        except NidusError as error:
            told(error)
        for _, secret in given.asked:
            assert all(one.isascii() and one.isprintable() for one in secret.values())

    return case


def packed() -> Case:
    """Archives of charts, with archives in them, and archives of snapshots: whole, damaged, cut, of odd members."""

    def case(draw: Random) -> None:
        data = archive(draw)
        for read in (
            lambda: charts.unpacked("web.tgz", data),
            lambda: charts.repacked({"charts/web.tgz": data}, lambda *_: None),
        ):
            try:
                assert all(".." not in name.split("/") for name in read())
            except NidusError as error:
                told(error)
        cuts = sorted(draw.randrange(len(data) + 1) for _ in range(3))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        try:
            assert snapshots.counted(pieces).keys > 0
        except snapshots._Unsound as error:
            assert str(error).isprintable()

    return case


def identities() -> Case:
    """Bundles signed without a key, changed anywhere: only what the identity signed and the log has counts."""
    ours, digest = keyless.Sigstore(), "1" * 64
    root = ours.trusted()
    bundles = [ours.bundle(one) for one in (digest, "2" * 64)]

    def case(draw: Random) -> None:
        kind, _, data = draw.choice(bundles)
        body = values.change(draw, json.loads(data)) if draw.random() < 0.7 else json.loads(data)
        whole = values.encoded(body)
        whole = values.damage(draw, whole) if draw.random() < 0.3 else whole
        given = values.damage(draw, root) if draw.random() < 0.1 else root
        signer = signed.Signer(given, "https://ci.example/acme/web", "https://tokens.example")
        manifest = values.encoded({"layers": [{"mediaType": kind}]})
        try:
            signed.check(signed.packed([manifest, whole]), digest, signer, OCI)
        except NidusError as error:
            told(error)
        else:
            payload = json.loads(bundles[0][2])["dsseEnvelope"]["payload"]
            assert base64.b64decode(json.loads(whole)["dsseEnvelope"]["payload"]) == base64.b64decode(payload)

    return case


def signatures() -> Case:
    """Manifests of signatures and what they name: whatever is changed, only what the key signed counts."""
    key, digest = signing.made(), "1" * 64
    public = signing.public(key)
    layers = [sign(key, one) for one in (digest, "2" * 64) for sign in (signing.simple, signing.bundle)]
    true = {layers[0][2], base64.b64decode(json.loads(layers[1][2])["dsseEnvelope"]["payload"])}

    def case(draw: Random) -> None:
        chosen = draw.sample(layers, draw.randint(0, 3))
        pieces: Any = [{"mediaType": kind, "annotations": notes} for kind, notes, _ in chosen]
        manifest: Any = {"layers": pieces}
        data = [one for _, _, one in chosen]
        if draw.random() < 0.5:
            manifest = values.change(draw, manifest)
        if data and draw.random() < 0.7:
            at = draw.randrange(len(data))
            data[at] = values.damage(draw, data[at])
        whole = signed.packed([values.encoded(manifest), *data])
        try:
            signed.check(
                values.damage(draw, whole) if draw.random() < 0.2 else whole, digest, signed.Signer(public), OCI
            )
        except NidusError as error:
            told(error)
        else:
            assert true & {*data, *map(said, data)}

    def said(data: bytes) -> bytes:
        """What the statement of a bundle says; another part of the bundle may be damaged."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return base64.b64decode(json.loads(data.decode(errors="replace"))["dsseEnvelope"]["payload"])
        return b""

    return case


def stores() -> Case:
    """Refusals of an object store: any status, with a body of its own form, damaged, or of anything."""

    def case(draw: Random) -> None:
        code = draw.choice((*values.TEXTS, "NoSuchKey", "A" * 100, "\x1b[2J", "</Code>"))
        body = f"<Error><Code>{code}</Code><Message>{draw.choice(values.TEXTS)}</Message></Error>".encode(
            errors="replace"
        )
        body = values.damage(draw, body) if draw.random() < 0.5 else body
        found = snapshot_stores.refusal(draw.choice((100, 204, 301, 307, 400, 403, 404, 409, 500, 503, 999)), body)
        assert isinstance(found, snapshot_stores.Refused | snapshot_stores.Failed | FileNotFoundError)
        assert str(found).isprintable() and len(str(found)) < LONGEST and "\x1b" not in str(found)

    return case


def provenances() -> Case:
    """Helm's provenance files and keys, damaged: Helm's own library reads them, in a worker. Whatever is damaged, only what a key signed
    about the very archive counts."""
    from reconciler.packs import provenance

    folder = Path(__file__).parent.parent / "provenance"
    whole, data = (folder / "web-1.2.3.tgz.prov").read_bytes(), packed_chart("web", "1.2.3")
    rings = [(folder / name).read_bytes() for name in ("ring.gpg", "ring.asc")]

    def case(draw: Random) -> None:
        proof = values.damage(draw, whole) if draw.random() < 0.7 else whole
        ring = draw.choice(rings)
        ring = values.damage(draw, ring) if draw.random() < 0.4 else ring
        body = data if draw.random() < 0.8 else values.damage(draw, data)
        try:
            provenance.check(("web-1.2.3.tgz", body), proof, ring, OCI)
        except NidusError as error:
            told(error)
        else:
            assert body == data

    return case


def archive(draw: Random, depth: int = 1) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=draw.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))) as made:
        for name in draw.sample(NAMES, draw.randint(0, 4)):
            inner = name.endswith(".tgz") and depth
            data = archive(draw, depth - 1) if inner else draw.choice(values.TEXTS).encode("utf-8", "replace")
            made.addfile(member(draw, name, data), io.BytesIO(data))
    whole = out.getvalue()[: draw.choice((512, 1024, 1 << 20))]
    whole = values.damage(draw, whole) if draw.random() < 0.4 else whole
    found = gzip.compress(whole, 1) * draw.choice((1, 1, 1, 2))
    return values.damage(draw, found) if draw.random() < 0.3 else found


def member(draw: Random, name: str, data: bytes) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name if draw.random() < 0.8 else draw.choice(values.TEXTS).replace("\x00", "") or "a")
    found.size = len(data)
    if draw.random() < 0.2:
        found.type = draw.choice(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.DIRTYPE, b"z")
        )
        found.linkname = "../../etc/passwd"
    if draw.random() < 0.1:
        found.pax_headers = {"GNU.sparse.size": "314572800", "GNU.sparse.map": "314572800,0", "path": "../../x"}
    return found


def told(error: NidusError) -> None:
    """What is told of a failure is one sentence of bounded length."""
    assert error.message.isprintable() and error.hint.isprintable() and len(error.message) < LONGEST
