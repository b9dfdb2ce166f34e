"""Which kubeconfigs are used without the official client, and what is asked with them."""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import InsecureRequestWarning

from reconciler.errors import ApiError, ErrorClass, UsageError
from reconciler.kube import edge, kubeconfig, plain
from reconciler.model import HostConfig
from tests.answering import Server
from tests.nested_server import NAME, NAMESPACE, NestedServer

SERVER = "https://127.0.0.1:6443"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
DATA = base64.b64encode(PEM.encode()).decode()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def found(folder: Path, user: dict[str, Any], **cluster: Any) -> plain.Access | None:
    """What is read from a file with this user and cluster."""
    body = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(body))
    return kubeconfig.access(kubeconfig.chosen(str(file), "", "--kubeconfig"))


def test_a_token_or_a_certificate_is_plain(tmp_path: Path) -> None:
    assert found(tmp_path, {"token": "t"}) == plain.Access(SERVER, token="t")
    certificate = {"client-certificate-data": DATA, "client-key-data": DATA}
    named = {"certificate-authority-data": DATA, "tls-server-name": "api", "extensions": [{"name": "minikube"}]}
    assert found(tmp_path, certificate, **named) == plain.Access(SERVER, PEM, name="api", certificate=PEM, key=PEM)
    access = found(tmp_path, {"token": "t"}, **{"insecure-skip-tls-verify": True})
    assert access is not None and not access.verify


def test_files_are_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(PEM)
    access = found(tmp_path, {"token": "t"}, **{"certificate-authority": "ca.crt"})
    assert access is not None and access.authority == PEM


def test_a_field_without_a_value_hides_no_file(tmp_path: Path) -> None:
    """kubectl reads the file, and trusts its authority alone."""
    (tmp_path / "ca.crt").write_text(PEM)
    given = {"certificate-authority-data": "", "certificate-authority": "ca.crt"}
    access = found(tmp_path, {"token": "t"}, **given)
    assert access is not None and access.authority == PEM


@pytest.mark.parametrize(
    ("user", "cluster", "told"),
    [
        ({"token": "t"}, {"insecure-skip-tls-verify": "false"}, "insecure-skip-tls-verify of cluster c"),
        ({"exec": {"command": "true"}}, {"insecure-skip-tls-verify": "no"}, "insecure-skip-tls-verify of cluster c"),
        ({"token": "hush\n"}, {}, "the token of user u"),
        ({"token": "hush\r\nX-Remote-User: admin"}, {"proxy-url": "http://127.0.0.1:1"}, "the token of user u"),
        ({"token": "hush\u2026"}, {}, "the token of user u"),
    ],
)
def test_what_kubectl_refuses_is_taken_for_nothing_else(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], told: str
) -> None:
    """A text is no truth value: "false" would trust anybody. A token in two lines is no header."""
    with pytest.raises(UsageError) as error:
        found(tmp_path, user, **cluster)
    assert told in error.value.message and "hush" not in f"{error.value}{error.value.hint}"


@pytest.mark.parametrize("credentials", [{"token": "t"}, {"exec": {"command": "true"}}])
@pytest.mark.parametrize(
    "acting", [{"as": "eve"}, {"as-uid": "7"}, {"as-groups": ["viewers"]}, {"as-user-extra": {"scope": ["view"]}}]
)
def test_nobody_asks_with_the_rights_that_a_user_gave_up(
    tmp_path: Path, credentials: dict[str, Any], acting: dict[str, Any]
) -> None:
    """kubectl sends whom a user acts as; without it an administrator who acts as a viewer would ask as an administrator."""
    found(tmp_path, {**credentials, **dict.fromkeys(acting)})  # a field without a value says nothing
    with pytest.raises(UsageError) as error:
        found(tmp_path, {**credentials, **acting})
    assert "user u" in error.value.message and str(*acting) in error.value.message


def test_a_header_that_cannot_be_sent_is_not_printed(tmp_path: Path) -> None:
    """Of a plugin, whose answer nobody checks before."""
    told = json.dumps({**ANSWER, "status": {"token": "hush\n"}})
    plugin = {"apiVersion": ANSWER["apiVersion"], "command": "printf", "args": ["%s", told], "interactiveMode": "Never"}
    with closing(Server()) as server:
        found(tmp_path, {"exec": plugin}, server=server.url)
        with (
            closing(edge.host(HostConfig(kubeconfig=str(tmp_path / "kubeconfig")))) as client,
            pytest.raises(ApiError) as error,
        ):
            client.version()
    assert "header" in error.value.message and "hush" not in error.value.message


def test_neither_a_token_nor_a_key_is_printed(tmp_path: Path) -> None:
    access = found(tmp_path, {"token": "hush", "client-certificate-data": DATA, "client-key-data": DATA})
    assert access is not None and "hush" not in repr(access) and "BEGIN" not in repr(access)


@pytest.mark.parametrize(
    "user",
    [
        {"tokenFile": "token"},
        {"username": "a", "password": "b"},
        {"auth-provider": {"name": "oidc"}},
        {"token": "t", "a-field-of-tomorrow": "x"},
        {"token": 7},
        {"client-certificate-data": DATA},
        {"client-certificate-data": "%%%", "client-key-data": DATA},
        {"client-certificate": "nowhere.crt", "client-key-data": DATA},
    ],
    ids=lambda user: " ".join(user),
)
def test_all_else_is_left_to_the_official_client(tmp_path: Path, user: dict[str, Any]) -> None:
    assert found(tmp_path, user) is None


def test_so_is_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, {"token": "t"}, **{"proxy-url": "http://127.0.0.1:1"}) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert found(tmp_path, {"token": "t"}) is None


def test_both_ways_ask_the_same(tmp_path: Path) -> None:
    """By a token as it stands, and by the official client, from a plugin."""
    asked = []
    for user in ({"token": "t"}, {"exec": PLUGIN}):
        with closing(Server()) as server:
            found(tmp_path, user, server=server.url)
            with closing(edge.host(HostConfig(kubeconfig=str(tmp_path / "kubeconfig")))) as client:
                client.namespaced("", "ConfigMap")
                assert isinstance(client.transport.api, plain.Api) is ("token" in user)
                assert edge.server(client) == server.url
            asked.append(server.heads)
    assert [one["authorization"] for one in asked[0]] == ["Bearer t"] * len(asked[0])
    kept = ("authorization", "user-agent", "accept")
    assert [[one[name] for name in kept] for one in asked[0]] == [[one[name] for name in kept] for one in asked[1]]


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[NestedServer]:
    """A server over TLS that talks only to who shows a certificate of its authority."""
    with closing(NestedServer(tmp_path)) as made:
        made._trust.load_verify_locations(
            cadata=base64.b64decode(made.secret["data"]["certificate-authority"]).decode()
        )
        made._trust.verify_mode = ssl.CERT_REQUIRED
        yield made


def asked(folder: Path, server: NestedServer, user: dict[str, Any], **cluster: Any) -> str:
    """The version that it tells. Raises ApiError."""
    access = found(folder, user, server=f"https://{server.address[0]}:{server.address[1]}", **cluster)
    assert access is not None
    with closing(edge.host(HostConfig(kubeconfig=str(folder / "kubeconfig")), deadline=10.0)) as client:
        return client.version()


def test_the_server_is_proved_and_told_who_asks(secure: NestedServer, tmp_path: Path) -> None:
    data, name = secure.secret["data"], {"tls-server-name": f"{NAME}.{NAMESPACE}"}
    user = {f"{key}-data": data[key] for key in ("client-certificate", "client-key")}
    authority = {"certificate-authority-data": data["certificate-authority"]}
    assert asked(tmp_path, secure, user, **authority, **name) == "v1.36.0"
    with pytest.warns(InsecureRequestWarning):
        assert asked(tmp_path, secure, user, **{"insecure-skip-tls-verify": True}) == "v1.36.0"
    other = {**authority, "tls-server-name": "other"}
    for given, trusted in ((user, other), (user, name), ({"token": "t"}, authority | name)):
        with pytest.raises(ApiError) as error:
            asked(tmp_path, secure, given, **trusted)
        assert error.value.kind is ErrorClass.TRANSIENT
    assert (
        secure.seen == ["GET /version"] * 2
    )  # neither to another name, nor to an authority of the system, nor as nobody


def test_a_socket_to_the_same_server_is_proved_alike(secure: NestedServer, tmp_path: Path) -> None:
    """That of a port-forward."""
    data = secure.secret["data"]
    user = {f"{key}-data": data[key] for key in ("client-certificate", "client-key")}
    cluster = {"server": f"https://{secure.address[0]}:{secure.address[1]}", "tls-server-name": f"{NAME}.{NAMESPACE}"}
    for authority in (data["certificate-authority"], DATA):
        found(tmp_path, user, **cluster, **{"certificate-authority-data": authority})
        with (
            closing(edge.host(HostConfig(kubeconfig=str(tmp_path / "kubeconfig")))) as client,
            pytest.raises(ApiError) as error,
        ):
            edge.websocket(
                client.transport.api, "/forward", "v4.channel.k8s.io", 10.0
            )  # which the server does not speak
        assert error.value.kind is ErrorClass.TRANSIENT
    assert secure.seen == ["GET /forward"]  # nothing where its authority is none


ANSWER = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "echo",
    "args": [json.dumps(ANSWER)],
    "interactiveMode": "Never",
}
