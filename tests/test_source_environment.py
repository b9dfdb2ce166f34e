"""What git is started with: no configuration of the machine, credentials outside the arguments, one protocol (S1)."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import Stalled, Unavailable, UsageError
from reconciler.model import Credentials, Limits, SourceConfig
from reconciler.source.address import parse
from reconciler.source.environment import network, reading, ssh_command
from reconciler.source.mirror import Mirror

HTTPS = parse(SourceConfig(name="s", url="https://git.example.com:8443/a/b.git"))
SSH = parse(SourceConfig(name="s", url="ssh://git@127.0.0.1:1/a/b.git"))


def configuration(env: dict[str, str]) -> dict[str, str]:
    count = int(env["GIT_CONFIG_COUNT"])
    return {env[f"GIT_CONFIG_KEY_{number}"]: env[f"GIT_CONFIG_VALUE_{number}"] for number in range(count)}


def test_reading_allows_no_protocol_and_holds_no_secret() -> None:
    env = reading(Path("/m"))
    assert env["GIT_ALLOW_PROTOCOL"] == "none"
    assert configuration(env)["protocol.allow"] == "never"
    assert "http.extraHeader" not in configuration(env)
    assert "GIT_SSH_COMMAND" not in env


def test_https_allows_itself_only_and_verifies(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    env = network(Path("/m"), HTTPS, Credentials(username="robot", token_file=str(token), ca_file="/ca.pem"))
    config = configuration(env)
    assert env["GIT_ALLOW_PROTOCOL"] == "https"
    assert env["GIT_SSL_CAINFO"] == "/ca.pem"
    assert config["protocol.https.allow"] == "always"
    assert config["http.followRedirects"] == "false"
    assert config["http.sslVerify"] == "true"
    assert config["transfer.fsckObjects"] == "true"
    assert base64.b64decode(config["http.extraHeader"].split()[-1]) == b"robot:hunter2"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff"])
def test_a_token_file_that_holds_no_token(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Stalled) as caught:
        network(Path("/m"), HTTPS, Credentials(token_file=str(tmp_path / "token")))
    assert caught.value.reason == "AccessDenied"


@pytest.mark.parametrize(
    "given",
    [
        Credentials(),
        Credentials(ssh_key_file="/k"),
        Credentials(known_hosts_file="/h"),
        Credentials(ssh_key_file="k", known_hosts_file="/h"),
        Credentials(ssh_key_file="/k", known_hosts_file='/h" -oX'),
    ],
)
def test_ssh_needs_a_key_and_known_hosts(given: Credentials) -> None:
    with pytest.raises(UsageError):
        ssh_command(given)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs an ssh client")
def test_ssh_itself_understands_the_options_as_meant(tmp_path: Path) -> None:
    key, hosts = tmp_path / "a key 100%", tmp_path / "known hosts"
    command = ssh_command(Credentials(ssh_key_file=str(key), known_hosts_file=str(hosts)))
    done = subprocess.run([*command, "-G", "git.example.com"], capture_output=True, text=True, timeout=30, check=True)
    options = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert options["stricthostkeychecking"] in ("true", "yes")
    assert options["batchmode"] == "yes"
    assert options["identityfile"] == str(key).replace("%", "%%")  # shown as written, expanded when used
    assert options["identityagent"] == "none"
    assert options["identitiesonly"] == "yes"
    assert str(hosts) in options["userknownhostsfile"]
    assert options["globalknownhostsfile"] == "/dev/null"


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs an ssh client")
def test_an_ssh_server_that_does_not_answer(tmp_path: Path) -> None:
    given = Credentials(ssh_key_file=str(tmp_path / "k"), known_hosts_file=str(tmp_path / "h"))
    mirror = Mirror.open(SourceConfig(name="s", url=SSH.url, credentials=given), tmp_path / "m", limits=Limits())
    with pytest.raises(Unavailable) as caught:
        mirror.fetch()
    assert caught.value.reason == "Unreachable"
    mirror.close()
