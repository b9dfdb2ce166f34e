"""The environment that git runs in, without the machine's and the repository's configuration (S1).

Credentials travel in environment variables of the one command that needs them: never in its arguments, never in a URL.
"""

import base64
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.errors import Stalled, UsageError
from reconciler.model import Credentials
from reconciler.source.address import Address

# Variables that a calling process (such as a hook) may have set and git would obey; `runner` removes them.
FOREIGN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_OBJECT_DIRECTORY GIT_WORK_TREE "
    "GIT_IMPLICIT_WORK_TREE GIT_GRAFT_FILE GIT_INDEX_FILE GIT_REPLACE_REF_BASE GIT_PREFIX GIT_INTERNAL_SUPER_PREFIX "
    "GIT_SHALLOW_FILE GIT_COMMON_DIR GIT_QUARANTINE_PATH GIT_NAMESPACE GIT_EXEC_PATH GIT_TEMPLATE_DIR GIT_SSH "
    "GIT_PROXY_COMMAND GIT_EXTERNAL_DIFF GIT_DEFAULT_HASH GIT_PROTOCOL GIT_PROTOCOL_FROM_USER GIT_SSL_NO_VERIFY "
    "GIT_TRACE GIT_TRACE_CURL GIT_TRACE_PACKET GIT_TRACE_SETUP GIT_TRACE2 GIT_TRACE2_EVENT GIT_CURL_VERBOSE SSH_ASKPASS"
)

_CONFIG = {
    "core.bigFileThreshold": "8m",  # larger blobs pass through git in pieces
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",  # keep packs: loose objects of a fetch that failed would stay for ever
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "20",
    "http.sslVerify": "true",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
    "transfer.fsckObjects": "true",
}


def reading(folder: Path) -> dict[str, str]:
    """For commands that only read the mirror in `folder`: no protocol is allowed, and there is no secret."""
    return _variables(folder, "none", _CONFIG)


def network(folder: Path, address: Address, credentials: Credentials) -> dict[str, str]:
    """For commands that talk to the remote. Credential files are read anew each time (F28): Stalled when they cannot be."""
    config = dict(_CONFIG) | {f"protocol.{address.scheme}.allow": "always"}
    extra = {}
    if address.scheme == "https":
        config |= _https(credentials)
        if credentials.ca_file:
            extra["GIT_SSL_CAINFO"] = credentials.ca_file  # a variable of the machine would win over http.sslCAInfo
    if address.scheme == "ssh":
        extra["GIT_SSH_COMMAND"] = shlex.join(ssh_command(credentials))
        extra["GIT_SSH_VARIANT"] = "ssh"
    return _variables(folder, address.scheme, config) | extra


def ssh_command(credentials: Credentials) -> Sequence[str]:
    """The ssh that git starts: one key, one known-hosts file, no agent, no user configuration, no questions."""
    if not credentials.ssh_key_file or not credentials.known_hosts_file:
        raise UsageError("an ssh source needs credentials.sshKeyFile and credentials.knownHostsFile")
    options = {
        "IdentityFile": _quoted(
            credentials.ssh_key_file
        ),  # not -i: a missing file would mean the account's default keys
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": _quoted(credentials.known_hosts_file),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
    }
    pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ("ssh", "-F", "/dev/null", *pairs)


def _quoted(path: str) -> str:
    """A path as an ssh option: one word whatever it holds, and no %-token. Raises UsageError for what cannot be quoted."""
    if not path.startswith("/") or '"' in path or any(ord(character) < 32 for character in path):
        raise UsageError("credentials: paths are absolute and hold no quotes or control characters")
    return '"' + path.replace("%", "%%") + '"'


def _https(credentials: Credentials) -> dict[str, str]:
    config = {}
    if credentials.token_file:
        token = _secret(credentials.token_file)
        pair = f"{credentials.username or 'git'}:{token}".encode()
        config["http.extraHeader"] = "Authorization: Basic " + base64.b64encode(pair).decode()
    return config


def _secret(path: str) -> str:
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Stalled("credentials.tokenFile cannot be read", reason="AccessDenied") from error
    if not token or any(ord(character) < 33 for character in token):
        raise Stalled("credentials.tokenFile is empty or holds more than a token", reason="AccessDenied")
    return token


def _variables(folder: Path, protocol: str, config: Mapping[str, str]) -> dict[str, str]:
    """`HOME` is the mirror: libcurl would read ~/.netrc. `gitconfig` there is what an upload-pack of ours may read."""
    variables = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "GIT_DIR": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    for number, (key, value) in enumerate(config.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
