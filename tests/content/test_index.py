"""The index of a chart repository: one chart is found in it without parsing the rest, and nothing in it is believed (K1)."""

import tracemalloc

import pytest

from reconciler.errors import Stalled
from reconciler.packs.content.index import Version, versions

REPO = "https://charts.example.com/stable"
DIGEST = "1" * 64
INDEX = f"""\
apiVersion: v1
generated: "2026-11-01T00:00:00Z"
entries:
  "a.b":
  - {{version: 0.0.1, urls: [x.tgz]}}
  web:
    - version: 2.0.0
      annotations:
        web: |
          web:
          - version: 9.9.9
            urls: [evil.tgz]
      digest: sha256:{DIGEST}
      urls: [charts/web-2.0.0.tgz, other.tgz]
    - version: 1.0.0
      urls: ["https://cdn.example.com/web-1.0.0.tgz"]
    - {{version: 0.9.0}}
    - not a version
  web-extra:
  - {{version: 3.0.0, urls: [y.tgz], digest: nonsense}}
"""


def test_the_versions_of_one_chart() -> None:
    assert versions(INDEX.encode(), "web", REPO) == [
        Version("2.0.0", f"{REPO}/charts/web-2.0.0.tgz", DIGEST),
        Version("1.0.0", "https://cdn.example.com/web-1.0.0.tgz", ""),
    ]
    assert versions(INDEX.encode(), "a.b", f"{REPO}/") == [Version("0.0.1", f"{REPO}/x.tgz", "")]
    assert versions(INDEX.encode(), "web-extra", REPO) == [Version("3.0.0", f"{REPO}/y.tgz", "")]
    json = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}]}}'
    assert versions(json, "web", REPO) == [Version("1.0.0", f"{REPO}/a.tgz", "")]


WRONG = (
        b"", b"entries:\n", b"entries: {}\n", b"entries:\nweb:\n- version: 1.0.0\n", b"\xff\xfe\x00", b"{", b"{}", b'{"entries": []}',
        b'{"entries": {"web": {"version": "1.0.0"}}}', b"[" * 100_000, b'{"a":' * 100_000, b"entries:\n  web: text\n",
        b"entries:\n  web:\n  - version: 1\n    urls: [a]\n", b"entries:\n  web:\n  - version: 1.0.0\n    urls: a\n",
        b"entries:\n  web:\n  - &a [*a]\n", b"entries:\n  web:\n" + b"  - [\n" * 1000, b"entries:\n  web:\n" + b"  - a\n" * 1_500_000,
        INDEX.encode().replace(b"  web:\n", b"  aXb:\n"),
)  # fmt: skip


HOSTILE = {
    "of other charts": b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}], "x": [%s[]]}}',
    "of many charts": b'{"entries": {%s "web": [{"version": "1.0.0", "urls": ["a.tgz"]}]}}',
    "of the chart": b'{"entries": {"web": [%s{"version": "1.0.0", "urls": ["a.tgz"]}]}}',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_index_in_json_takes_no_more_memory_than_its_bytes(case: str) -> None:
    """Of 6 MiB of it, all of which is made into objects nobody needs."""
    many = b"".join(b'"%06d": [],' % number for number in range(500_000))
    data = HOSTILE[case] % (many if case == "of many charts" else b"[]," * (2 << 20))
    tracemalloc.start()
    try:
        if case == "of the chart":
            with pytest.raises(Stalled, match="not JSON of the usual form"):
                versions(data, "web", REPO)
        else:
            assert versions(data, "web", REPO) == [Version("1.0.0", f"{REPO}/a.tgz", "")]
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data)
    finally:
        tracemalloc.stop()


def test_what_an_index_in_json_says_of_one_chart_is_bounded() -> None:
    data = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["a.tgz"]}%s]}}' % (b" " * (8 << 20))
    with pytest.raises(Stalled, match="more than 8 MiB of web"):
        versions(data, "web", REPO)


@pytest.mark.parametrize("url", ["http://[", "https://[::1", "//[x]/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    data = b'{"entries": {"web": [{"version": "1.0.0", "urls": ["%s"]}]}}' % url.encode()
    with pytest.raises(Stalled, match="leads to what is no address"):
        versions(data, "web", REPO)


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_an_index_without_the_chart_or_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(Stalled):
        versions(data, "web", REPO)
    with pytest.raises(Stalled):
        versions(data, "a+b" if b"a.b" in data else "a.b", REPO)
