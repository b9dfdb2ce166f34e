"""The index of a chart repository: one chart is found in it without parsing the rest, and nothing in it is believed (K1)."""

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


@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_an_index_without_the_chart_or_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(Stalled):
        versions(data, "web", REPO)
    with pytest.raises(Stalled):
        versions(data, "a+b" if b"a.b" in data else "a.b", REPO)
