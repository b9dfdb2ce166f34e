"""A GitHub App: its tokens are asked for with its key, used while they count, and written nowhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reconciler import forges
from reconciler.errors import Stalled
from reconciler.forges import app as apps
from reconciler.forges import github
from reconciler.forges.transport import Transport
from reconciler.model import AppConfig, ForgeConfig, Person
from reconciler.spec import config
from tests.forge.githublike import App
from tests.forge.server import Forge

KEY = rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def forge() -> Iterator[Forge]:
    made = Forge("github")
    made.state.app = App("123456", 77, KEY.public_key())
    yield made
    made.close()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "app.pem"
    file.write_bytes(pem(KEY))
    return file


def issued(forge: Forge) -> int:
    return sum(one.path.endswith("/access_tokens") for one in forge.asked)


def client(forge: Forge, key: Path) -> forges.Forge:
    given = AppConfig(id="123456", installation=77, key_file=str(key))
    return forges.client(ForgeConfig(provider="github", api=forge.api, repository=forge.state.repository, app=given))


def test_one_token_serves_many_requests(forge: Forge, key: Path) -> None:
    number = forge.state.open("a" * 40)
    used = client(forge, key)
    assert used.me() == Person(1, "nidus-bot[bot]")
    for _ in range(3):
        assert used.change(number).head == "a" * 40
    used.put_comment(number, "words")
    assert issued(forge) == 1 and forge.state.ours(number) == ["words"]


def test_a_token_that_ends_soon_is_replaced(forge: Forge, key: Path) -> None:
    assert forge.state.app is not None
    now = [forge.state.app.now]
    given = AppConfig(id="123456", installation=77, key_file=str(key))
    tokens = apps.AppTokens(forge.api, given, "", lambda: now[0])
    used = github.Github(Transport(forge.api, "", issued=tokens), forge.state.repository, app=tokens)
    number = forge.state.open("a" * 40)
    used.change(number)
    now[0] += 3600.0 - apps.EARLY - 1.0
    forge.state.app.now = now[0]
    used.change(number)
    assert issued(forge) == 1
    now[0] += 2.0
    used.change(number)
    assert issued(forge) == 2


def test_a_token_that_was_revoked_is_replaced_after_one_failure(forge: Forge, key: Path) -> None:
    assert forge.state.app is not None
    number = forge.state.open("a" * 40)
    used = client(forge, key)
    used.change(number)
    forge.state.app.tokens.clear()
    with pytest.raises(Stalled) as error:
        used.change(number)
    assert error.value.reason == "ForgeRefused"
    assert used.change(number).number == number and issued(forge) == 2


def test_the_key_is_read_anew_for_each_token(forge: Forge, key: Path) -> None:
    assert forge.state.app is not None
    number = forge.state.open("a" * 40)
    other = rsa.generate_private_key(65537, 2048)
    used = client(forge, key)
    key.write_bytes(pem(other))
    with pytest.raises(Stalled):
        used.change(number)
    forge.state.app.key = other.public_key()
    assert used.change(number).number == number


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (b"", "holds no private key"),
        (b"s3cret", "holds no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        (pem(rsa.generate_private_key(65537, 1024)), "no RSA key"),
        (None, "cannot be read"),
    ],
    ids=["empty", "text", "curve", "short", "gone"],
)
def test_a_key_of_no_use_is_one_sentence_without_its_content(
    forge: Forge, tmp_path: Path, held: bytes | None, told: str
) -> None:
    file = tmp_path / "key"
    if held is not None:
        file.write_bytes(held)
    with pytest.raises(Stalled) as error:
        client(forge, file).me()
    assert error.value.reason == "ForgeRefused" and told in error.value.message
    assert "s3cret" not in str(error.value) and "keyFile" in (error.value.hint or "")
    assert forge.asked == []


def test_the_jwt_is_that_of_the_documentation(key: Path) -> None:
    signed = apps._Signed(AppConfig(id="Iv1.abc", installation=1, key_file=str(key)), lambda: 1000.0).token()
    head, claims, _ = (one + "=" * (-len(one) % 4) for one in signed.split("."))
    assert json.loads(base64.urlsafe_b64decode(head)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(base64.urlsafe_b64decode(claims)) == {"iat": 940, "exp": 1480, "iss": "Iv1.abc"}


def test_no_token_and_no_key_stands_in_what_is_printed(forge: Forge, key: Path) -> None:
    used = client(forge, key)
    used.me()
    assert forge.state.app is not None
    for token in forge.state.app.tokens:
        assert token not in repr(used)


CONFIG = """apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources:
    - name: platform
      url: https://git.example.com/platform.git
      forge: {provider: %s, api: "https://api.example.com", repository: acme/platform%s}
  engine: {versions: [{version: 0.36.1, chart: {path: /charts/vcluster}}]}
"""
APP = ', app: {id: "1", installation: 2, keyFile: /etc/nidus/key}'


@pytest.mark.parametrize(
    ("provider", "more", "told"),
    [
        ("github", APP, ""),
        ("github", ", tokenFile: /etc/nidus/token", ""),
        ("github", "", "forge"),
        ("github", APP + ", tokenFile: /etc/nidus/token", "forge"),
        ("gitlab", APP, "only GitHub has Apps"),
    ],
)
def test_a_forge_has_a_token_or_an_app(provider: str, more: str, told: str) -> None:
    found, wrong = config.read((CONFIG % (provider, more)).encode(), "nidus.yaml")
    assert (found is not None) == (told == "")
    assert all(told in one.message or told in one.pointer for one in wrong) and bool(wrong) == bool(told)
