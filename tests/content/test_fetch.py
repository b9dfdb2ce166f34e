"""Fetching one piece of content over real sockets: what may be asked, what breaks off, what is refused (K1-K3)."""

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from reconciler.errors import Fetching, NidusError, Stalled, Unavailable
from reconciler.model import ContentAllow, Remote
from reconciler.packs.content import access, fetch
from reconciler.packs.content.access import Access
from reconciler.packs.content.client import Client, Timeouts
from reconciler.packs.content.fetch import Means
from reconciler.packs.content.store import Store
from tests.content.conftest import Allowed, Sites
from tests.content.server import certified, packed

BODY = bytes(range(256)) * 1024  # 256 KiB
SHA = hashlib.sha256(BODY).hexdigest()


def url(address: str, digest: str = SHA) -> Remote:
    return Remote("url", address, digest)


def bring(remote: Remote, means: Means) -> bytes | None:
    fetch.bring(remote, means, lambda size: None)
    return means.store.get(remote.digest)


def refusal(remote: Remote, means: Means, kind: type[NidusError] = Stalled) -> str:
    with pytest.raises(kind) as caught:
        fetch.bring(remote, means, lambda size: None)
    assert type(caught.value) is kind
    assert not means.store.has(remote.digest)
    return caught.value.told


def test_a_file_comes_once_over_https_with_a_private_ca(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    remote, means = url(site.put("/m.yaml", BODY)), allowed(site)
    assert bring(remote, means) == BODY == bring(remote, means)
    assert site.paths() == ["/m.yaml"]


def test_a_chart_comes_by_the_index_of_its_repository(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    digest = site.chart(version="1.2.3")
    remote = Remote("chart", f"{site.url}/charts", digest, "web", "1.2.3")
    assert bring(remote, allowed(site)) == packed(version="1.2.3")
    assert site.paths() == ["/charts/index.yaml", "/charts/web-1.2.3.tgz"]


def test_what_breaks_off_goes_on_where_it_was(sites: Sites, allowed: Allowed) -> None:
    site, told = sites(), list[int]()
    remote, means = url(site.put("/m.yaml", BODY, cut=[100_000, 200_000])), allowed(site)
    fetch.bring(remote, means, told.append)
    assert means.store.get(SHA) == BODY
    assert [one.headers.get("range") for one in site.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert told == sorted(told) and told[-1] == len(BODY)


def test_what_breaks_off_for_good_goes_on_in_the_next_attempt(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    remote, means = url(site.put("/m.yaml", BODY, cut=[1000, 1000])), allowed(site)
    assert "ended before the answer did" in refusal(remote, means, Unavailable)
    assert bring(remote, means) == BODY
    assert site.asked[-1].headers["range"] == "bytes=1000-"


def test_a_server_without_ranges_is_read_from_the_beginning(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    remote, means = url(site.put("/m.yaml", BODY, cut=[100_000], ranges=False)), allowed(site)
    assert bring(remote, means) == BODY
    assert len(site.asked) == 2


def test_parts_of_two_files_are_not_one(sites: Sites, allowed: Allowed) -> None:
    """The file changed to what was asked for while it was read: the joined parts are dropped, and it is read anew."""
    site, other = sites(), bytes(len(BODY))
    remote, means = url(site.put("/m.yaml", other, cut=[1000, 1000, 1000])), allowed(site)
    refusal(remote, means, Unavailable)
    site.put("/m.yaml", BODY)
    assert bring(remote, means) == BODY


def test_a_file_that_changes_whenever_it_is_read_fails(sites: Sites, allowed: Allowed) -> None:
    """Each connection breaks off: the halves are never of what was asked for, which is a failure and no success without content."""
    site = sites()
    remote = url(site.put("/m.yaml", bytes(len(BODY)), cut=[1000, len(BODY), 1000, len(BODY)]))
    assert "it changes while it is read" in refusal(remote, allowed(site), Unavailable)
    assert [one.headers.get("range") for one in site.asked] == [None, "bytes=1000-"] * 2


def test_what_somebody_else_left_is_read_over_the_second_time(
    sites: Sites, allowed: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both times bytes of another file stand in the part."""
    site = sites()
    remote, means = url(site.put("/m.yaml", BODY)), allowed(site)
    part = type(means.store).part

    @contextlib.contextmanager
    def left(self: Store, *of: str) -> Iterator[BinaryIO]:
        with part(self, *of) as file:
            file.write(b"of another file")
            yield file

    monkeypatch.setattr(Store, "part", left)
    assert bring(remote, means) == BODY


def test_a_whole_part_that_was_not_kept_is_kept(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    site.put("/m.yaml", BODY, status=416, headers={"Content-Range": f"bytes */{len(BODY)}"}, ranges=False)
    means = allowed(site)
    with means.store.part(SHA, f"{site.url}/m.yaml") as part:
        part.write(BODY)
    assert bring(url(f"{site.url}/m.yaml"), means) == BODY


def test_other_content_is_refused_and_never_followed(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    remote, means = url(site.put("/m.yaml", b"changed")), allowed(site)
    assert "and not sha256:" in refusal(remote, means)
    assert "run `nidus lock --upgrade`" in refusal(remote, means)


@pytest.mark.parametrize("more", [{"length": 5 << 30}, {"endless": True}])
def test_bodies_of_gigabytes_are_refused(more: dict[str, object], sites: Sites, allowed: Allowed) -> None:
    site = sites()
    means = allowed(site)
    assert "larger than 24 MiB" in refusal(url(site.put("/m.yaml", BODY, **more)), means)
    index = Remote("chart", site.url, SHA, "web", "1.0.0")
    site.put("/index.yaml", BODY, **more)
    assert "larger than 64 MiB" in refusal(index, means)


@pytest.mark.parametrize("more", [{"hang": True}, {"drip": True}])
def test_a_server_that_is_silent_or_slow_is_left(more: dict[str, bool], sites: Sites, allowed: Allowed) -> None:
    """By the silence between two bytes, or by the deadline of the whole."""
    site = sites()
    means = allowed(site, timeouts=Timeouts(1.0, 0.3, 0.6))
    told = refusal(url(site.put("/m.yaml", b"x" * 100, **more)), means, Unavailable)
    assert "no answer in time" in told or "no whole answer within" in told


def test_a_redirect_to_a_host_that_via_names_is_followed_without_credentials(
    sites: Sites, allowed: Allowed, tmp_path: Path
) -> None:
    """As release assets of forges come: from another host."""
    forge, assets = sites(), sites()
    there = assets.put("/bucket/file?token=s3cret", BODY)
    forge.put("/release/m.yaml", status=302, headers={"Location": there})
    (tmp_path / "password").write_text("hunter2\n")
    means = allowed(forge, via=(assets.host,), password_file=str(tmp_path / "password"))
    assert bring(url(f"{forge.url}/release/m.yaml"), means) == BODY
    assert "authorization" in forge.asked[0].headers
    assert "authorization" not in assets.asked[0].headers


def test_a_redirect_to_an_address_inside_a_network_is_refused_before_a_byte_is_sent(
    sites: Sites, allowed: Allowed
) -> None:
    forge, inside = sites(), sites()
    forge.put("/m.yaml", status=302, headers={"Location": inside.put("/latest/meta-data", BODY)})
    told = refusal(url(f"{forge.url}/m.yaml"), allowed(forge))
    assert "an address inside a network" in told and "via" in told
    assert inside.asked == []


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/x", "ftp://a/x", "file:///etc/passwd", "https://a:99999/x", "http://["]
)
def test_a_redirect_to_anything_but_https_is_refused(location: str, sites: Sites, allowed: Allowed) -> None:
    site = sites()
    site.put("/m.yaml", status=301, headers={"Location": location})
    assert "leads to" in refusal(url(f"{site.url}/m.yaml"), allowed(site))


def test_what_listens_inside_a_network_cannot_be_told_apart(sites: Sites, allowed: Allowed) -> None:
    """A port that is open and one that is not: nothing connects, and the author reads the same of both."""
    forge = sites()
    with socket.create_server(("127.0.0.1", 0)) as inside, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [inside.getsockname()[1], other.getsockname()[1]]
        other.close()
        told = set()
        for port in ports:
            forge.put("/m.yaml", status=302, headers={"Location": f"https://127.0.0.1:{port}/"})
            told.add(refusal(url(f"{forge.url}/m.yaml"), allowed(forge)))
        assert len(told) == 1 and "inside a network" in told.pop()
        inside.settimeout(0)
        with pytest.raises(BlockingIOError):
            inside.accept()


def test_redirects_end(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    site.put("/m.yaml", status=307, headers={"Location": "/m.yaml"})
    assert "more than 3 redirects" in refusal(url(f"{site.url}/m.yaml"), allowed(site))
    assert len(site.asked) == 4


def test_an_index_may_name_another_host_as_a_redirect_may(sites: Sites, allowed: Allowed) -> None:
    site, other = sites(), sites()
    digest = site.chart()
    other.put("/charts/web-1.0.0.tgz", packed())
    site.pages["/charts/index.yaml"].body = site.pages["/charts/index.yaml"].body.replace(
        b'"web-1', f'"{other.url}/charts/web-1'.encode()
    )
    remote = Remote("chart", f"{site.url}/charts", digest, "web", "1.0.0")
    assert "inside a network" in refusal(remote, allowed(site))
    assert bring(remote, allowed(site, via=(other.host,))) == packed()


def test_an_index_that_names_a_registry_is_told_so(sites: Sites, allowed: Allowed) -> None:
    site = sites()
    digest = site.chart()
    site.pages["/charts/index.yaml"].body = site.pages["/charts/index.yaml"].body.replace(
        b"web-1.0.0.tgz", b"oci://registry.example.com/charts/web:1.0.0"
    )
    told = refusal(Remote("chart", f"{site.url}/charts", digest, "web", "1.0.0"), allowed(site))
    assert "lies in a registry, at oci://registry.example.com/charts/web:1.0.0; write chart: {oci:" in told


def test_without_a_digest_another_host_is_asked_only_where_via_names_it(sites: Sites, allowed: Allowed) -> None:
    site, other = sites(), sites()
    site.put("/m.yaml", status=302, headers={"Location": other.put("/m.yaml", BODY)})
    with pytest.raises(Stalled, match="without a digest"):
        _unpinned(f"{site.url}/m.yaml", allowed(site))
    assert _unpinned(f"{site.url}/m.yaml", allowed(site, via=(other.host,))) == BODY


def _unpinned(address: str, means: Means) -> bytes:
    asked = fetch.Asked(address, means.access.place(address), fetch.LARGEST)
    return fetch.whole(asked, means.client)


def test_credentials_are_read_each_time_and_never_told(sites: Sites, allowed: Allowed, tmp_path: Path) -> None:
    site, name, password = sites(), tmp_path / "name", tmp_path / "password"
    name.write_text("robot")
    password.write_text("hunter2")
    site.put("/private/m.yaml", BODY, secret=access.basic("robot", "right"))
    means = allowed(site, username_file=str(name), password_file=str(password))
    told = refusal(url(f"{site.url}/private/m.yaml"), means)
    assert "refused (401)" in told and "hunter2" not in told
    password.write_text("right\n")
    assert bring(url(f"{site.url}/private/m.yaml"), means) == BODY
    password.unlink()
    other = url(site.put("/private/n.yaml", b"n"), hashlib.sha256(b"n").hexdigest())
    assert "a file of credentials cannot be read" in refusal(other, means)


def test_credentials_go_below_the_prefix_only(sites: Sites, tls: Path, tmp_path: Path) -> None:
    site = sites()
    (tmp_path / "password").write_text("hunter2")
    site.put("/team/m.yaml", status=302, headers={"Location": "/other/m.yaml"})
    site.put("/other/m.yaml", BODY)
    place = ContentAllow(
        prefix=f"{site.url}/team/", ca_file=str(tls.with_name("ca.pem")), password_file=str(tmp_path / "password")
    )
    means = Means(Store(tmp_path / "store", 1 << 20), Access((place,)), Client())
    assert bring(url(f"{site.url}/team/m.yaml"), means) == BODY
    assert ["authorization" in one.headers for one in site.asked] == [True, False]


def test_only_what_is_allowed_is_asked(sites: Sites, allowed: Allowed, tmp_path: Path) -> None:
    site = sites()
    means = allowed(site)
    for address in (
        f"{site.url}0/m.yaml",
        f"{site.url}/../m.yaml",
        "https://user@127.0.0.1/m",
        site.url.replace("https", "http"),
    ):
        assert "content" in refusal(url(address), means)
    assert "by https only" in refusal(url("http://127.0.0.1:1/m"), Means(means.store, Access(), means.client))
    assert site.asked == []


def test_without_rules_public_addresses_only_are_asked(sites: Sites, tmp_path: Path) -> None:
    site = sites()
    means = Means(Store(tmp_path / "store", 1 << 20), Access(), Client())
    assert "inside a network" in refusal(url(f"{site.url}/m.yaml"), means)
    assert site.asked == []


def test_an_expired_and_a_foreign_certificate_are_told(sites: Sites, allowed: Allowed, tmp_path: Path) -> None:
    old = certified(tmp_path / "old", expired=True)
    site, foreign = sites(certificate=old), sites(certificate=certified(tmp_path / "foreign"))
    place = ContentAllow(prefix=site.url, ca_file=str(old.with_name("ca.pem")))
    means = Means(Store(tmp_path / "store", 1 << 20), Access((place,)), Client())
    assert "certificate has expired" in refusal(url(f"{site.url}/m.yaml"), means, Unavailable)
    assert "its certificate is not trusted" in refusal(url(f"{foreign.url}/m.yaml"), allowed(foreign), Unavailable)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://charts.invalid/m.yaml", "the name of its host cannot be resolved"),
        ("https://127.0.0.1:1/m.yaml", "cannot be reached"),
    ],
)
def test_a_host_that_is_not_there_is_told(address: str, told: str, tmp_path: Path) -> None:
    place = ContentAllow(prefix=address.removesuffix("/m.yaml"))
    means = Means(Store(tmp_path / "store", 1 << 20), Access((place,)), Client())
    assert told in refusal(url(address), means, Unavailable)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, Stalled), (404, Stalled), (400, Stalled), (429, Unavailable), (500, Unavailable), (503, Unavailable)],
)
def test_what_a_status_means(status: int, kind: type[NidusError], sites: Sites, allowed: Allowed) -> None:
    site = sites()
    site.put("/m.yaml", b"a body with a password", status=status, headers={"Retry-After": "120"})
    assert f"({status})" in refusal(url(f"{site.url}/m.yaml"), allowed(site), kind)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False),
        ("192.168.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::10.0.0.1", False), ("64:ff9b::1.1.1.1", True), ("2002:a00:1::", False),
        ("64:ff9b:1::a9fe:a9fe", False), ("168.63.129.16", False), ("192.0.0.192", False), ("fec0::1", False), ("::169.254.169.254", False),
        ("::ffff:0:10.0.0.1", False), ("5f00::1", False), ("64:ff9b::168.63.129.16", False), ("::ffff:8.8.8.8", True),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert access.public(address) is public


def test_two_processes_do_not_fill_one_part(allowed: Allowed) -> None:
    means = allowed()
    again = Store(Path(means.store._folder), 1 << 20)  # as another process opens it
    with means.store.part(SHA), pytest.raises(Fetching), again.part(SHA):
        pass
