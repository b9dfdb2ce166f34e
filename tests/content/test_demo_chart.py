"""The chart of the engine that `nidus demo --context` fetches."""

from pathlib import Path

import pytest

from reconciler.errors import NidusError
from reconciler.verbs import demo_ground
from tests.content.conftest import Allowed, Sites

INDEX = """\
apiVersion: v1
entries:
  vcluster:
    - {version: 0.36.1, urls: [vcluster-0.36.1.tgz], digest: %s}
"""


def test_it_is_the_one_of_the_index_and_its_digest_is_told(
    sites: Sites, allowed: Allowed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = sites()
    digest = site.chart(name="vcluster", version=demo_ground.VERSION)
    found = demo_ground.fetched(tmp_path / "chart", f"{site.url}/charts", allowed(site))
    assert (found / "Chart.yaml").read_text().startswith("apiVersion") and (found / "templates").is_dir()
    assert digest in capsys.readouterr().out


def test_bytes_of_another_digest_are_refused(sites: Sites, allowed: Allowed, tmp_path: Path) -> None:
    site = sites()
    site.chart(name="vcluster", version=demo_ground.VERSION)
    site.put("/charts/index.yaml", (INDEX % ("a" * 64)).encode())
    with pytest.raises(NidusError, match=r"sha256|digest"):
        demo_ground.fetched(tmp_path / "chart", f"{site.url}/charts", allowed(site))
    assert not (tmp_path / "chart").exists()
