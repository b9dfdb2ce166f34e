"""Charts in OCI registries: against a real one, with and without a login, and against servers that do everything wrong (K1-K3)."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from reconciler.errors import NidusError, Stalled, Unavailable
from reconciler.model import ChartRef, ContentAllow, Remote
from reconciler.packs.content import access, fetch, held, locking
from reconciler.packs.content.access import Access
from reconciler.packs.content.client import Client, Timeouts
from reconciler.packs.content.fetch import Means
from reconciler.packs.content.store import Store
from tests.content import registry
from tests.content.conftest import Sites
from tests.content.registry import Registry, local, real
from tests.content.server import Site, packed


def login(folder: Path, name: str = "robot", password: str = "right") -> dict[str, str]:
    (folder / "name").write_text(name)
    (folder / "password").write_text(password)
    return {"username_file": str(folder / "name"), "password_file": str(folder / "password")}


def means(folder: Path, *allow: ContentAllow) -> Means:
    return Means(Store(folder / "store", 64 << 20), Access(allow), Client(Timeouts(2.0, 2.0, 10.0)))


def bring(remote: Remote, with_: Means) -> bytes:
    fetch.bring(remote, with_, lambda size: None)
    return held.split([remote.oid], with_.store)[0][remote.oid]


def refusal(remote: Remote, with_: Means, kind: type[NidusError] = Stalled) -> str:
    with pytest.raises(kind) as caught:
        fetch.bring(remote, with_, lambda size: None)
    assert type(caught.value) is kind
    return caught.value.told


# A real registry


@pytest.fixture(scope="module")
def closed_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"), login=True)
    yield made
    made.close()


@real
def test_a_chart_comes_from_a_registry_by_its_digest(open_one: Registry, tmp_path: Path) -> None:
    digest = open_one.push("acme/web", "1.0.0", packed())
    remote = Remote("oci", f"oci://{open_one.host}/acme/web", digest, version="1.0.0")
    assert bring(remote, means(tmp_path, local(open_one))) == packed()


@real
def test_a_registry_with_a_login_wants_the_right_one(closed_one: Registry, tmp_path: Path) -> None:
    digest = closed_one.push("acme/web", "1.0.0", packed())
    remote = Remote("oci", f"oci://{closed_one.host}/acme/web", digest, version="1.0.0")
    assert "refused (401)" in refusal(remote, means(tmp_path, local(closed_one)))
    wrong = means(tmp_path, local(closed_one, **login(tmp_path, password="hunter2")))
    assert "refused (401)" in (told := refusal(remote, wrong)) and "hunter2" not in told
    assert bring(remote, means(tmp_path, local(closed_one, **login(tmp_path)))) == packed()


@real
def test_what_is_not_there_is_told(open_one: Registry, tmp_path: Path) -> None:
    remote = Remote("oci", f"oci://{open_one.host}/acme/none", "1" * 64)
    assert "there is no such thing (404)" in refusal(remote, means(tmp_path, local(open_one)))


@real
def test_a_tag_that_moves_is_not_followed(open_one: Registry, tmp_path: Path) -> None:
    address = f"oci://{open_one.host}/acme/moves"
    first = open_one.push("acme/moves", "1.0.0", packed())
    wanted, with_ = ChartRef(oci=address, version="1.0.0"), means(tmp_path, local(open_one))
    assert locking.resolve(wanted, with_, lambda size: None).digest == f"sha256:{first}"
    second = open_one.push("acme/moves", "1.0.0", packed(files={"values.yaml": "a: 1"}))
    assert locking.resolve(wanted, with_, lambda size: None).digest == f"sha256:{second}"
    assert bring(Remote("oci", address, first), means(tmp_path / "fresh", local(open_one))) == packed()


@real
def test_a_range_is_resolved_over_all_tags(open_one: Registry, tmp_path: Path) -> None:
    for tag in ("1.2.3", "1.2.10", "1.3.0", "latest", "1.2.11-rc.1", "1.2.4_build"):
        open_one.push("acme/many", tag, packed(version=tag.replace("_", "+")))
    wanted = ChartRef(oci=f"oci://{open_one.host}/acme/many", version="1.2.x")
    with_ = means(tmp_path, local(open_one))
    found = locking.resolve(wanted, with_, lambda size: None)
    assert found.version == "1.2.10"
    assert bring(Remote("oci", wanted.oci, found.digest.removeprefix("sha256:")), with_) == packed(version="1.2.10")
    built = locking.resolve(ChartRef(oci=wanted.oci, version="1.2.4+build"), with_, lambda size: None)
    assert built.version == "1.2.4+build"


# Registries that do everything wrong


class Fake:
    """A registry of one chart on servers of the tests, in the manner of the large ones: tokens, and blobs from another host."""

    def __init__(self, site: Site, *, path: str = "acme/web", archive: bytes = b"") -> None:
        self.site, self.path = site, path
        self.archive = archive or packed()
        self.blob = hashlib.sha256(self.archive).hexdigest()
        piece = {"mediaType": registry.CHART, "digest": f"sha256:{self.blob}", "size": len(self.archive)}
        self.manifest = json.dumps({"layers": [piece]}).encode()
        self.digest = hashlib.sha256(self.manifest).hexdigest()
        self.put(f"manifests/sha256:{self.digest}", self.manifest)
        self.put(f"blobs/sha256:{self.blob}", self.archive)

    @property
    def remote(self) -> Remote:
        return Remote("oci", f"oci://{self.site.host}/{self.path}", self.digest)

    def put(self, path: str, body: bytes, **more: Any) -> None:
        self.site.put(f"/v2/{self.path}/{path}", body, **more)

    def place(self, tls: Path, **more: Any) -> ContentAllow:
        return ContentAllow(prefix=f"oci://{self.site.host}/", ca_file=str(tls.with_name("ca.pem")), **more)

    def wants(self, secret: str, challenge: str) -> None:
        for page in self.site.pages.values():
            page.secret, page.challenge = secret, challenge


def tokens(site: Site, token: str = "t0ken", **more: Any) -> tuple[str, str]:
    """A giver of tokens: its challenge, and the path that has to be asked."""
    query = urlencode({"service": "charts", "scope": "repository:acme/web:pull"})
    site.put(f"/token?{query}", json.dumps({"token": token}).encode(), **more)
    return f'Bearer realm="{site.url}/token",service="charts",scope="repository:other/secret:push"', f"/token?{query}"


def test_a_token_is_asked_for_this_repository_alone_with_the_login(sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    challenge, path = tokens(fake.site, secret=access.basic("robot", "right"))
    for name, page in fake.site.pages.items():
        if name != path:
            page.secret, page.challenge = "Bearer t0ken", challenge
    assert bring(fake.remote, means(tmp_path, fake.place(tls, **login(tmp_path)))) == packed()
    assert fake.site.paths().count(path) == 1


def test_blobs_that_lie_elsewhere_come_without_a_token(sites: Sites, tls: Path, tmp_path: Path) -> None:
    """As those of ghcr.io do."""
    fake, bucket = Fake(sites()), sites()
    there = bucket.put("/bucket/blob?signature=s3cret", fake.archive)
    fake.put(f"blobs/sha256:{fake.blob}", b"", status=307, headers={"Location": there})
    challenge, path = tokens(fake.site)
    for name, page in fake.site.pages.items():
        if name != path:
            page.secret, page.challenge = "Bearer t0ken", challenge
    assert (
        "inside a network" in (told := refusal(fake.remote, means(tmp_path, fake.place(tls)))) and "s3cret" not in told
    )
    assert bring(fake.remote, means(tmp_path, fake.place(tls, via=(bucket.host,)))) == packed()
    assert ["authorization" in one.headers for one in bucket.asked] == [False]


def test_a_login_never_goes_to_another_giver_of_tokens(sites: Sites, tls: Path, tmp_path: Path) -> None:
    """Not even to one that `via` names; one that has an entry of its own as well sees what stands there."""
    fake, giver = Fake(sites()), sites()
    challenge, path = tokens(giver)
    fake.wants("Bearer t0ken", challenge)
    own = fake.place(tls, **login(tmp_path))
    assert "inside a network" in refusal(fake.remote, means(tmp_path, own))
    assert giver.asked == []
    assert (
        bring(fake.remote, means(tmp_path / "via", fake.place(tls, via=(giver.host,), **login(tmp_path)))) == packed()
    )
    assert "authorization" not in giver.asked[0].headers
    giver.pages[path].secret = access.basic("other", "login")
    (tmp_path / "o").mkdir()
    entry = ContentAllow(prefix=f"{giver.url}/token", ca_file=own.ca_file, **login(tmp_path / "o", "other", "login"))  # type: ignore[arg-type]
    both = fake.place(tls, via=(giver.host,), **login(tmp_path))
    assert bring(fake.remote, means(tmp_path / "entry", both, entry)) == packed()


def test_a_registry_gets_no_token_made_with_the_login_of_another(sites: Sites, tls: Path, tmp_path: Path) -> None:
    """Its challenge names the giver of tokens of another registry, which has an entry with a login."""
    evil, giver = Fake(sites(plain=True)), sites(plain=True)
    challenge, _ = tokens(giver, secret=access.basic("robot", "right"))
    evil.wants("Bearer t0ken", challenge)
    places = (
        ContentAllow(prefix=f"oci://{evil.site.host}/", plain_http=True),
        ContentAllow(prefix=f"{giver.url}/token", plain_http=True, **login(tmp_path)),  # type: ignore[arg-type]
    )
    refusal(evil.remote, means(tmp_path, *places))
    assert giver.asked == []
    assert ["authorization" in one.headers for one in evil.site.asked] == [False]


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        ('Bearer realm="file:///etc/passwd",service="a"', "no address for tokens"),
        ('Bearer realm="http://169.254.169.254/token"', "by https only"),
        ('Bearer realm="https://user:p@host/x"', "no address for tokens"),
        ("Bearer", "no address for tokens"),
        ("Negotiate", "refused (401)"),
        ("", "refused (401)"),
        ("Basic realm=x", "refused (401)"),
    ],
)
def test_other_challenges_are_refused(challenge: str, told: str, sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    fake.wants("never", challenge)
    assert told in refusal(fake.remote, means(tmp_path, fake.place(tls)))


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "x" * 20_000])
def test_a_token_that_is_none_is_refused(token: str, sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    challenge, path = tokens(fake.site, token)
    for name, page in fake.site.pages.items():
        if name != path:
            page.secret, page.challenge = "Bearer t0ken", challenge
    assert "gives no token" in refusal(fake.remote, means(tmp_path, fake.place(tls)))


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (b"{}", "what is there is no chart"),
        (b'{"manifests": []}', "what is there is no chart"),
        (
            b'{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:1"}]}',
            "is no chart",
        ),
        (json.dumps({"layers": [{"mediaType": registry.CHART, "digest": "../../etc"}]}).encode(), "is no chart"),
        (
            json.dumps({"layers": [{"mediaType": registry.CHART, "digest": "sha256:" + "1" * 64}] * 2}).encode(),
            "is no chart",
        ),
        (b"<html>", "in a form that is no registry's"),
        (b"[" * 100_000, "in a form that is no registry's"),
    ],
)
def test_what_is_no_manifest_of_a_chart_is_refused(
    manifest: bytes, told: str, sites: Sites, tls: Path, tmp_path: Path
) -> None:
    fake = Fake(sites())
    digest = hashlib.sha256(manifest).hexdigest()
    fake.put(f"manifests/sha256:{digest}", manifest)
    assert told in refusal(Remote("oci", fake.remote.address, digest), means(tmp_path, fake.place(tls)))


def test_another_manifest_or_blob_than_was_reviewed_is_refused(sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    fake.put(f"blobs/sha256:{fake.blob}", b"other")
    assert "has the digest" in refusal(fake.remote, means(tmp_path, fake.place(tls)))
    fake.put(f"manifests/sha256:{fake.digest}", b'{"layers": []}')
    assert "the manifest has the digest" in refusal(fake.remote, means(tmp_path, fake.place(tls)))


def test_a_blob_that_breaks_off_goes_on(sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites(), archive=packed(files={"README.md": "".join(map(str, range(50_000)))}))
    fake.site.pages[f"/v2/acme/web/blobs/sha256:{fake.blob}"].cut = [1000]
    assert bring(fake.remote, means(tmp_path, fake.place(tls))) == fake.archive
    assert fake.site.asked[-1].headers["range"] == "bytes=1000-"


@pytest.mark.parametrize("more", [{"endless": True}, {"length": 5 << 30}])
def test_manifests_blobs_and_tokens_have_a_limit(more: dict[str, Any], sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    with_ = means(tmp_path, fake.place(tls))
    fake.put(f"blobs/sha256:{fake.blob}", fake.archive, **more)
    assert "larger than 24 MiB" in refusal(fake.remote, with_)
    fake.put(f"manifests/sha256:{fake.digest}", fake.manifest, **more)
    assert "larger than 1 MiB" in refusal(fake.remote, with_)


def test_tags_without_end_are_refused(sites: Sites, tls: Path, tmp_path: Path) -> None:
    """A page that repeats itself ends the list, and no list is longer than 20 pages."""
    site = sites()
    last = ""
    for page in range(21):
        names = [f"0.{page}.{number}" for number in range(1000)]
        query = urlencode({"n": 1000} | ({"last": last} if last else {}))
        site.put(f"/v2/a/tags/list?{query}", json.dumps({"tags": names}).encode())
        last = names[-1]
    place = ContentAllow(prefix=f"oci://{site.host}/", ca_file=str(tls.with_name("ca.pem")))
    with pytest.raises(Stalled, match="more than 20000 tags"):
        locking.resolve(ChartRef(oci=f"oci://{site.host}/a", version="1.x"), means(tmp_path, place), lambda size: None)
    assert len(site.asked) == 20


def test_a_registry_that_is_down_is_tried_again(sites: Sites, tls: Path, tmp_path: Path) -> None:
    fake = Fake(sites())
    fake.put(f"manifests/sha256:{fake.digest}", b"", status=502)
    assert "(502)" in refusal(fake.remote, means(tmp_path, fake.place(tls)), Unavailable)
    fake.site.close()
    assert "cannot be reached" in refusal(fake.remote, means(tmp_path, fake.place(tls)), Unavailable)
