"""What is found as a literal key or token, and what only looks like one (K13)."""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.__main__ import main
from reconciler.model import Limits
from reconciler.spec import literals, manifests
from tests.examples import examples
from tests.spec_cases import FILES


def made(
    prefix: str, size: int, alphabet: str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
) -> str:
    """Text as a generator makes it, the same in each run; put together here, so that no file of ours holds one."""
    digest = hashlib.sha512(prefix.encode()).digest() * 4
    return prefix + "".join(alphabet[byte % len(alphabet)] for byte in digest[:size])


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
HEX = "0123456789abcdef"
PEM = "-----BEGIN {}PRIVATE KEY-----"
JWT = ".".join([made("eyJ", 20), made("eyJ", 30), made("", 43)])
LITERALS = {
    "key of RSA": "    " + PEM.format("RSA "),
    "key of PKCS 8": "  key: |\n    " + PEM.format("") + "\n    abc",
    "key of EC": "a: '" + PEM.format("EC ") + "'",
    "key of OpenSSH": PEM.format("OPENSSH "),
    "key with a passphrase": PEM.format("ENCRYPTED "),
    "key of PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "key in JSON": '{"private_key": "' + PEM.format("") + '\\nMIIE"}',
    "key in Base64": "  tls.key: " + base64.b64encode((PEM.format("RSA ") + "\nMIIEabcdefghi").encode()).decode(),
    "key of age": "# " + made("AGE-SECRET-KEY-1", 58, UPPER),
    "AWS": "a: " + made("AKIA", 16, UPPER),
    "AWS for a while": "a: " + made("ASIA", 16, UPPER),
    "GitHub": "t: " + made("ghp_", 36),
    "GitHub, fine-grained": "t: " + made("github_pat_", 60),
    "GitHub of an app": "url: x?" + made("ghs_", 36),
    "GitLab": "t: " + made("glpat-", 20),
    "GitLab of a runner": "t: " + made("glrt-", 20),
    "Slack": "t: " + made("xoxb-", 40, "0123456789"),
    "Slack, incoming": "u: https://hooks.slack.com/services/"
    + made("T", 8, UPPER)
    + "/"
    + made("B", 8, UPPER)
    + "/"
    + made("", 24),
    "Google": "k: " + made("AIza", 35),
    "Stripe": "k: " + made("sk_live_", 24),
    "npm": "//registry.npmjs.org/:_authToken=" + made("npm_", 36),
    "PyPI": "p: " + made("pypi-AgEIcHlwaS5vcmc", 60),
    "JWT": "Authorization: Bearer " + JWT,
    "SendGrid": "k: " + made("SG.", 22) + "." + made("", 43),
    "Vault": "k: " + made("hvs.", 40),
    "DigitalOcean": "k: " + made("dop_v1_", 64, HEX),
    "Docker Hub": "k: " + made("dckr_pat_", 27),
    "Azure": "c: DefaultEndpointsProtocol=https;AccountKey=" + made("", 86) + "==",
    "a password in an address": "u: postgres://app:" + made("", 12) + "@db.example.com/app",
    "a made-up password": "adminPassword: " + made("", 24),
    "an API key": '  - apiKey: "' + made("", 32) + '"',
}
HARMLESS = {
    "a certificate": "-----BEGIN CERTIFICATE-----",
    "a public key": "-----BEGIN PUBLIC KEY-----",
    "a public key of SSH": "k: ssh-ed25519 " + made("AAAAC3NzaC1lZDI1NTE5AAAAI", 43) + " me@example.com",
    "a certificate in Base64": "caBundle: "
    + base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIE" + b"a" * 40).decode(),
    "a recipient of age": "age: " + made("age1", 58, "qpzry9x8gf2tvdw0s3jn54khce6mua7l"),
    "a digest": "digest: sha256:" + made("", 64, HEX),
    "a commit": "revision: " + made("", 40, HEX),
    "an image": "image: ghcr.io/acme/app@sha256:" + made("", 64, HEX),
    "a UUID": "id: 123e4567-e89b-12d3-a456-426614174000",
    "the example of AWS": "k: " + "AKIAIOSFODNN7" + "EXAMPLE",
    "a name of a Secret": "secretName: my-very-long-secret-name-of-the-shop-2",
    "an existing Secret": "existingSecret: Redis-Credentials-Of-Team-A",
    "a key in a Secret": "secretKey: redis-password",
    "a reference": "password: ${{ variables.adminPassword }}",
    "an environment variable": "password: $(ADMIN_PASSWORD_OF_THE_SHOP)",
    "a template": "password: {{ .Values.global.adminPassword1 | quote }}",
    "a placeholder": "password: change-me-before-use",
    "a short password": "password: hunter2",
    "an empty password": "password: ''",
    "a path": "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token",
    "a path of a key": "privateKey: /etc/ssl/private/Server2-key.pem.key.old",
    "an address": "url: https://git.example.com/acme/Platform-2026.git",
    "an address with a user": "url: ssh://git@git.example.com/acme/platform.git",
    "an address with a reference": "u: postgres://app:${PASSWORD}@db.example.com/app",
    "a port": "u: http://db.example.com:5432/path@2",
    "a test key of Stripe": "k: " + made("sk_test_", 24),
    "a word with a prefix": "name: ghp_short",
    "a class": "storageClass: gp3-encrypted",
    "a sentence": "description: the token is made by the operator, see AKIA in the handbook",
    "a JWT without its signature": "t: eyJhbGciOiJIUzI1NiJ9",
    "words in a field": "clientSecret: the-same-as-the-other-client",
}


@pytest.mark.parametrize("name", LITERALS)
def test_a_literal_is_found_and_never_printed(name: str) -> None:
    (one,) = literals.found("a.yaml", ("# a\n" + LITERALS[name]).encode())
    assert one.line == (3 if "\n" in LITERALS[name] else 2)
    assert not any(word in f"{one.message} {one.hint}" for word in LITERALS[name].split() if len(word) > 15)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_one_is_not(name: str) -> None:
    assert list(literals.found("a.yaml", HARMLESS[name].encode())) == []


@examples(100)
@given(
    st.one_of(
        *(st.from_regex(re.compile(one.pattern, one.flags)) for one in (literals._MARKED, literals._FIELD)),
        *(st.from_regex(re.compile(one)) for one in literals._PATTERNS.values()),
    )
)
def test_no_line_in_which_a_pattern_finds_something_is_passed_over(text: str) -> None:
    assert literals.suspect(text)


@pytest.mark.parametrize("odd", ["pa\u017f\u017fword", "to\u212aen", "api\u212aey", "PASSWORD", "\u017fecret"])
def test_letters_that_the_patterns_take_for_others_are_seen(odd: str) -> None:
    line = f"{odd}: aB3dE5gH7jK9mN1pQ3sT5"
    assert literals._FIELD.match(line) and literals.suspect(line)


def test_the_tables_are_large_enough() -> None:
    assert min(len(LITERALS), len(HARMLESS)) >= 30


@pytest.mark.parametrize("name", LITERALS)
def test_its_line_may_allow_it(name: str) -> None:
    head, _, rest = LITERALS[name].partition("\n")
    text = f"{head} # nidus: allow-literal" + (f"\n{rest}" if rest else "")
    assert list(literals.found("a.yaml", text.encode())) == []


def test_validate_tells_file_and_line_and_a_line_may_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = LITERALS["GitHub"].removeprefix("t: ")
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
    given = {
        **FILES,
        "profiles/front.yaml": f"logLevel: info\ntoken: {token}\n",
        "profiles/web/one.yaml": secret + "data: {a: b}\n",
        "profiles/web/two.yaml": secret.replace("a}", "b}") + "data: {a: b} # nidus: allow-literal\n",
    }
    for path, text in given.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--no-render", "-o", "json"]) == 1
    out = capsys.readouterr().out
    assert token not in out
    told = [(one["path"], one["line"], one["code"]) for one in json.loads(out)["violations"]]
    assert [one for one in told if one[2] != "NID143"] == [
        ("profiles/front.yaml", 2, "NID182"),
        ("profiles/web/one.yaml", 4, "NID154"),
    ]


def test_data_that_a_line_allows_is_rendered_and_what_a_variable_says_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {{name: {}}}\nstringData: {{a: '{}'}} # nidus: allow-literal\n"
    given = {**FILES, "profiles/web/one.yaml": secret.format("one", "b")}
    inline = '      manifests: {files: ["web/*.yaml"]}'
    object_ = "{apiVersion: v1, kind: Secret, metadata: {name: two}, stringData: {a: b}} # nidus: allow-literal"
    assert inline in given["profiles/web.yaml"]
    listed = f"      manifests:\n        files: [web/*.yaml]\n        objects:\n          - {object_}"
    given["profiles/web.yaml"] = given["profiles/web.yaml"].replace(inline, listed)
    monkeypatch.chdir(tmp_path)
    for text in ("b", "${{ variables.domain }}"):
        given["profiles/web/one.yaml"] = secret.format("one", text)
        for path, body in given.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(body)
        code, out = main(["validate", "-o", "json"]), capsys.readouterr().out
        assert code == (0 if text == "b" else 1), out
    assert "a Secret with literal stringData" in out


def splits(data: bytes) -> int:
    """How often some text is split into lines while a file is read."""
    count = 0

    def seen(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "c_call" and argument.__name__ == "splitlines"

    sys.setprofile(seen)
    try:
        manifests.read("s.yaml", "1", data, Limits(), objects=True)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("said", ["", " # nidus: allow-literal"])
def test_a_file_is_looked_through_once_however_many_secrets_it_holds(said: str) -> None:
    one = "  - {apiVersion: v1, kind: Secret, metadata: {name: s%d}, data: {a: YQ==}}" + said + "\n"
    head = "apiVersion: v1\nkind: SecretList\nitems:\n# nidus: allow-literal\n"
    few, many = (splits((head + "".join(one % number for number in range(count))).encode()) for count in (2, 40))
    assert few == many


def test_all_of_an_allowed_text_block_is_allowed() -> None:
    key = "-----BEGIN PRIVATE" + " KEY-----"
    block = ["a: | # nidus: allow-literal", f"  {key}", "", f"    {key}", f"  {key}", f"b: {key}"]
    assert [one.line for one in literals.found("a.yaml", "\n".join(block).encode())] == [6]
