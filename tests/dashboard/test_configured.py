"""Where the dashboard may listen: without sign-in on this machine only, with one where TLS is in front."""

import pytest

from reconciler.model import ControllerConfig, Violation
from reconciler.spec import config

FILE = """\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources: [{name: p, url: /srv/p}]
  engine: {versions: [{version: 0.36.1, chart: {path: /charts/vcluster}}]}
  server: {dashboard: {address: "ADDRESS"MORE}}
"""


def read(address: str, more: str = "") -> tuple[ControllerConfig | None, tuple[Violation, ...]]:
    return config.read(FILE.replace("ADDRESS", address).replace("MORE", more).encode(), "nidus.yaml")


@pytest.mark.parametrize("address", ["127.0.0.1:9294", "[::1]:9294", "localhost:0"])
def test_on_this_machine(address: str) -> None:
    found, wrong = read(address)
    assert wrong == () and found is not None and found.spec.server.dashboard is not None


@pytest.mark.parametrize("address", ["0.0.0.0:9294", "[::]:9294", ":9294", "10.0.0.1:9294", "example.com:9294"])
def test_nowhere_else(address: str) -> None:
    found, (wrong,) = read(address)
    assert found is None and wrong.line == 6 and "without sign-in" in wrong.message and "port-forward" in wrong.hint


PROXY = "proxy: {addresses: [10.0.3.0/24, 'fd00::/64']}"
URL = "url: 'https://nidus.example.com'"


@pytest.mark.parametrize(
    ("address", "more"),
    [
        ("127.0.0.1:9294", ", auth: kubernetes"),
        ("0.0.0.0:9294", f", auth: kubernetes, {URL}"),
        ("0.0.0.0:9294", f", auth: proxy, {URL}, {PROXY}"),
        ("127.0.0.1:9294", ", auth: proxy, proxy: {addresses: [127.0.0.1/32], userHeader: X-Auth}"),
    ],
)
def test_with_a_sign_in(address: str, more: str) -> None:
    assert read(address, more)[1] == ()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (", auth: kubernetes", "nothing says that TLS is in front"),
        (", auth: kubernetes, url: 'http://nidus.example.com'", "http is not safe"),
        (f", auth: proxy, {URL}", "needs the addresses of the proxy"),
        (f", auth: kubernetes, {URL}, {PROXY}", "nothing reads it"),
        (f", auth: proxy, {URL}, proxy: {{addresses: [0.0.0.0/0]}}", "everybody would be the proxy"),
        (f", auth: proxy, {URL}, proxy: {{addresses: [10.0.3.7/24]}}", "no block of addresses"),
    ],
)
def test_where_a_sign_in_would_be_none(more: str, told: str) -> None:
    found, wrong = read("0.0.0.0:9294", more)
    assert found is None and [told in one.message for one in wrong] == [True]
