"""Every forge: its published vector, its documented payloads, and what no forge accepts (W1, W2)."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.forges import FORGES, Delivery, NoSuchEvent, signing
from webhook.forges.delivery import Kind

PAYLOADS = Path(__file__).parent / "payloads"
"""Written by us after each forge's documentation: payloads/FORGE.json."""
SECRET = b"a secret of at least thirty-two bytes"
TOKEN = b"whsec_" + base64.b64encode(b"a signing token of GitLab's, 32 b")
OTHERS = (b"another secret of thirty-two bytes", b"")
EVERYBODY = b"It's a Secret to Everybody"
NOW = 1_795_000_000.0
CASES = [(forge, case) for forge in FORGES for case in json.loads((PAYLOADS / f"{forge}.json").read_text())]
DELIVERIES = [
    Delivery("push", ("refs/heads/main",)),
    Delivery("push", ("refs/tags/v1.2.0",)),
    Delivery("push", ("refs/heads/a/b", "refs/tags/c", "refs/heads/main")),
    Delivery("change", number=7),
    Delivery("comment", number=7),
    Delivery("ping"),
]


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def proved(forge: str, body: bytes, secret: bytes = SECRET, now: float = NOW) -> dict[str, str]:
    return lower(FORGES[forge].sign(body, secret, now))


# Published vectors


def test_the_vector_of_githubs_documentation() -> None:
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": f"sha256={digest}"}
    assert FORGES["github"].verify(headers, b"Hello, World!", (EVERYBODY,), NOW)
    assert not FORGES["github"].verify(headers, b"Hello, World?", (EVERYBODY,), NOW)


@pytest.mark.parametrize("forge", ["bitbucket", "bitbucket-server"])
def test_the_vector_of_atlassians_documentation(forge: str) -> None:
    digest = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    headers = {"x-hub-signature": f"sha256={digest}"}
    assert FORGES[forge].verify(headers, b"Hello World!", (EVERYBODY,), NOW)
    assert not FORGES[forge].verify(headers, b"Hello World?", (EVERYBODY,), NOW)


STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY, STANDARD_SECRET, STANDARD_AT = (
    b'{"test": 2432232314}',
    b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    1614265330.0,
)


def verified(
    body: bytes = STANDARD_BODY, at: float = STANDARD_AT, secret: bytes = STANDARD_SECRET, **headers: str
) -> bool:
    told = STANDARD | {name.replace("_", "-"): value for name, value in headers.items()}
    return FORGES["gitlab"].verify(told, body, (secret,), at)


def test_the_vector_of_standard_webhooks() -> None:
    """The signing token of GitLab is of this form."""
    assert verified()
    assert signing.standard_headers(STANDARD_BODY, STANDARD_SECRET, STANDARD_AT, STANDARD["webhook-id"]) == STANDARD
    assert not verified(body=b'{"test": 2432232315}')
    assert not verified(secret=b"whsec_" + b"A" * 32)
    assert not verified(webhook_id="msg_other")
    assert not verified(webhook_timestamp="1614265331")


@pytest.mark.parametrize(
    ("late", "expected"), [(0, True), (299, True), (-299, True), (301, False), (-301, False), (1e9, False)]
)
def test_an_old_delivery_cannot_be_sent_again(late: float, expected: bool) -> None:
    assert verified(at=STANDARD_AT + late) is expected


@pytest.mark.parametrize(
    "stamp", ["", "x", "-1614265330", "1614265330.0", "1" * 400, " 1614265330", "١٦١٤٢٦٥٣٣٠", "1614265330\n"]
)
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    assert not verified(webhook_timestamp=stamp)


def test_one_of_several_signatures_is_enough_and_other_versions_are_none() -> None:
    right = STANDARD["webhook-signature"]
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    assert verified(webhook_signature=f"{wrong} {right}")
    assert not verified(webhook_signature=right.replace("v1,", "v1a,"))
    assert not verified(webhook_signature=right.removeprefix("v1,"))
    assert not verified(webhook_signature=f"v1,{right}")
    assert not verified(webhook_signature=" ".join([wrong] * 1000 + [right]))  # bounded


def test_where_gitlab_signs_there_is_no_way_around_the_signature() -> None:
    """A signing token is never a password, and a bad signature does not fall back to the token that is valid beside it."""
    verify = FORGES["gitlab"].verify
    bad = {"webhook-signature": "v1,AAAA", "webhook-timestamp": str(int(NOW)), "webhook-id": "x"}
    assert not verify({"x-gitlab-token": TOKEN.decode()}, b"{}", (TOKEN,), NOW)
    assert not verify({"x-gitlab-token": SECRET.decode(), **bad}, b"{}", (TOKEN, SECRET), NOW)
    assert verify({"x-gitlab-token": SECRET.decode()}, b"{}", (TOKEN, SECRET), NOW)
    assert verify({"x-gitlab-token": SECRET.decode(), **bad}, b"{}", (SECRET,), NOW)  # we hold no key to check by


# Documented payloads


@pytest.mark.parametrize(("forge", "case"), CASES, ids=[f"{forge}: {case['name']}" for forge, case in CASES])
def test_documented_payloads(forge: str, case: dict[str, Any]) -> None:
    told = FORGES[forge].parse(lower(case["headers"]), json.dumps(case["body"]).encode())
    assert told == Delivery(case["kind"], tuple(case["refs"]), case["number"])


def test_every_forge_has_payloads_of_every_kind() -> None:
    for forge in FORGES:
        kinds = {case["kind"] for name, case in CASES if name == forge}
        assert kinds >= {"push", "change", "comment"}, forge


@pytest.mark.parametrize(("forge", "case"), CASES, ids=[f"{forge}: {case['name']}" for forge, case in CASES])
def test_what_is_ignored_changes_nothing(forge: str, case: dict[str, Any]) -> None:
    """Addresses, commits, paths, names and texts of a payload may say anything (W2)."""
    other = json.loads(json.dumps(case["body"]), object_hook=_forged)
    assert FORGES[forge].parse(lower(case["headers"]), json.dumps(other).encode()) == FORGES[forge].parse(
        lower(case["headers"]), json.dumps(case["body"]).encode()
    )


FORGED = {
    "clone_url", "ssh_url", "html_url", "git_http_url", "git_ssh_url", "web_url", "remoteUrl", "url", "full_name", "path_with_namespace",
    "before", "after", "checkout_sha", "sha", "hash", "fromHash", "toHash", "oldObjectId", "newObjectId", "commits", "added", "modified",
    "removed", "default_branch", "defaultBranch", "title", "note", "text", "message", "login", "username", "sender", "actor", "user",
    "pusher", "body", "merged", "state", "head", "base", "action", "repository", "project", "forced", "truncated",
}  # fmt: skip


def _forged(found: dict[str, Any]) -> dict[str, Any]:
    return {name: "https://evil.example/../x" if name in FORGED else value for name, value in found.items()}


# What each accepts


@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize("told", DELIVERIES, ids=str)
def test_what_is_composed_and_signed_is_accepted_and_read(forge: str, told: Delivery) -> None:
    """`nidus webhook send` and the listener agree. What a forge has no event for is said."""
    module = FORGES[forge]
    try:
        headers, body = module.compose(told)
    except NoSuchEvent:
        assert told.kind == "ping" or len(told.refs) > 1
        return
    headers = lower(headers | module.sign(body, SECRET, NOW))
    assert headers["content-type"] in module.TYPES and module.claim(headers)
    assert module.verify(headers, body, (b"", OTHERS[0], SECRET), NOW)
    assert not module.verify(headers, body, OTHERS, NOW)
    assert not module.verify(headers, body, (), NOW)
    assert module.parse(headers, body) == told


@pytest.mark.parametrize(
    "forge", sorted(set(FORGES) - {"gitlab", "azure-devops"})
)  # these two prove the sender, not the body
def test_another_body_is_refused(forge: str) -> None:
    for body in (b"", b"{}", b'{"a": 1} ', b"\xff"):
        headers = proved(forge, body)
        assert FORGES[forge].verify(headers, body, (SECRET,), NOW)
        assert not FORGES[forge].verify(headers, body + b" ", (SECRET,), NOW)


def test_gitlab_signs_the_body_with_a_signing_token() -> None:
    headers = proved("gitlab", b"{}", TOKEN)
    assert FORGES["gitlab"].verify(headers, b"{}", (TOKEN,), NOW)
    assert not FORGES["gitlab"].verify(headers, b"{} ", (TOKEN,), NOW)


@pytest.mark.parametrize("forge", FORGES)
def test_no_forge_accepts_what_proves_another(forge: str) -> None:
    """The provider is what the operator configured, never what headers say. Where both use one scheme, it is the same proof."""
    same = {"bitbucket": {"bitbucket-server"}, "bitbucket-server": {"bitbucket"}, "forgejo": {"gitea"}}
    for other in sorted(set(FORGES) - {forge} - same.get(forge, set())):
        headers = proved(other, b"{}")
        assert not FORGES[forge].verify(headers, b"{}", (SECRET,), NOW), other


def test_an_empty_signature_of_a_hook_without_a_secret_is_none() -> None:
    """Gitea sends the header all the same, and all that it copied from others with it."""
    empty = {
        "x-gitea-signature": "",
        "x-gogs-signature": "",
        "x-hub-signature": "sha1=",
        "x-hub-signature-256": "sha256=",
    }
    for forge in ("gitea", "forgejo", "gogs", "github", "bitbucket"):
        assert FORGES[forge].claim(empty) == ""
        assert not FORGES[forge].verify(empty, b"", (SECRET, b""), NOW)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_generic_takes_two_digests(algorithm: str) -> None:
    headers = {"x-nidus-signature": f"{algorithm}={signing.digest(b'{}', SECRET, algorithm)}"}
    assert FORGES["generic"].verify(headers, b"{}", (SECRET,), NOW)
    assert not FORGES["generic"].verify(headers, b"{} ", (SECRET,), NOW)


@pytest.mark.parametrize("algorithm", ["sha1", "md5", "sha224", "sha384", "blake2b", "SHA256", ""])
def test_generic_takes_no_other_digest(algorithm: str) -> None:
    for size in (32, 40, 56, 64, 96, 128):
        assert FORGES["generic"].claim({"x-nidus-signature": f"{algorithm}={'0' * size}"}) == ""


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Bearer " + "eA==", "Basic " + base64.b64encode(b"nobody").decode(), "Basic " + "A" * 9000,
               "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(), "Basic " + base64.b64encode(b"nidus:").decode()],
)  # fmt: skip
def test_azure_wants_a_password(header: str) -> None:
    assert not FORGES["azure-devops"].verify({"authorization": header}, b"{}", (SECRET, b""), NOW)


def test_azures_user_is_not_looked_at_and_its_password_may_hold_colons() -> None:
    password = "größe:a password of more than 32 bytes: it has colons"
    for user in ("", "nidus", "ada"):
        header = "basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        assert FORGES["azure-devops"].verify({"authorization": header}, b"{}", (password.encode(),), NOW)


# Secrets


@pytest.mark.parametrize(
    ("secret", "fault"),
    [(b"", "is empty"), (b"short", "has 5 bytes, at least 32 are needed"), (b"x" * 31, "has 31 bytes, at least 32 are needed"),
     (b"x" * 32, ""), (STANDARD_SECRET, ""), (TOKEN, ""), (b"whsec_c2hvcnQ=", "is no signing token"),
     (b"whsec_" + b"!" * 64, "is no signing token")],
)  # fmt: skip
def test_secrets_that_are_too_weak_are_faults(secret: bytes, fault: str) -> None:
    assert signing.fault(secret).startswith(fault) and bool(signing.fault(secret)) == bool(fault)


# Anything


@pytest.mark.parametrize("forge", FORGES)
@given(data=st.data())
def test_parsing_gives_a_delivery_or_a_value_error(forge: str, data: st.DataObject) -> None:
    """Whatever a payload holds, in whatever place: nothing but refs and a number comes of it, and nothing else is raised."""
    cases = [case for name, case in CASES if name == forge]
    case = data.draw(st.sampled_from(cases))
    body = json.loads(json.dumps(case["body"]))
    place, key = data.draw(st.sampled_from(list(_places(body))))
    place[key] = data.draw(VALUES)
    try:
        told = FORGES[forge].parse(lower(case["headers"]), json.dumps(body).encode())
    except ValueError:
        return
    assert told.kind in Kind.__args__
    assert all(ref.startswith("refs/") and len(ref) < 1100 for ref in told.refs)
    assert (told.number > 0) == (told.kind in ("change", "comment")) and bool(told.refs) == (told.kind == "push")


VALUES = st.sampled_from(
    [None, True, False, 0, -1, 1.5, 1 << 40, "", "refs/heads/\n", "main", "refs/", "tag", "refs/heads/" + "x" * 3000, [], [None], {}, [[]],
     {"type": "branch"}, {"type": [], "name": "x"}, {"type": "branch", "name": "a..\x00"}, {"id": "refs/heads/é"}, {"pull_request": None}]
)  # fmt: skip


def _places(value: Any) -> Any:
    """Every place of nested objects and lists that holds something."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, inner in items:
        yield value, key
        yield from _places(inner)
