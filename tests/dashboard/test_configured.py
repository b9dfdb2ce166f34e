"""Where the dashboard may listen without sign-in: on this machine only."""

import pytest

from reconciler.spec import config

FILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources: [{name: p, url: /srv/p}]
  engine: {versions: [{version: 0.36.1, chart: {path: /charts/vcluster}}]}
  server: {dashboard: {address: "ADDRESS"}}
"""


@pytest.mark.parametrize("address", ["127.0.0.1:9294", "[::1]:9294", "localhost:0"])
def test_on_this_machine(address: str) -> None:
    found, wrong = config.read(FILE.replace("ADDRESS", address).encode(), "nidus.yaml")
    assert wrong == () and found is not None and found.spec.server.dashboard is not None


@pytest.mark.parametrize("address", ["0.0.0.0:9294", "[::]:9294", ":9294", "10.0.0.1:9294", "example.com:9294"])
def test_nowhere_else(address: str) -> None:
    found, (wrong,) = config.read(FILE.replace("ADDRESS", address).encode(), "nidus.yaml")
    assert found is None and wrong.line == 6 and "without sign-in" in wrong.message and "port-forward" in wrong.hint
