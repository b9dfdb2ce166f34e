"""Whatever is sent, signed or not, the answer is one of the documented ones and never an error of ours (W3)."""

import hashlib
import hmac
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.app import Route, create_app

SECRET = b"a secret of at least thirty-two bytes"
MARKED: list[tuple[str, tuple[str, ...]]] = []
CLIENT = create_app(
    {
        "g": Route("g", "github", lambda: (SECRET,)),
        "n": Route("n", "generic", lambda: (SECRET,)),
    },
    lambda source, refs: MARKED.append((source, refs)),
    limit=10_000,
).test_client()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("refs/heads/main"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ref", "refs", "ping"]) | st.text(max_size=5), inner)
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode())
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80)


@settings(max_examples=400)
@given(
    bodies,
    st.sampled_from(["g", "n", "x", "%ff", "..", "g/"]),
    st.sampled_from(["push", "ping", "pull_request"]) | header_text,
    header_text,
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]),
    st.booleans(),
)
def test_no_delivery_is_a_server_error(
    body: bytes, key: str, event: str, signature: str, content: str, sign: bool
) -> None:
    MARKED.clear()
    if sign:
        signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    names = ("X-Hub-Signature-256", "X-Nidus-Signature")
    headers = {"X-GitHub-Event": event, "Content-Type": content} | dict.fromkeys(names, signature)
    status = CLIENT.post(f"/webhook/{key}", data=body, headers=headers).status_code
    assert status in {200, 202, 400, 401, 404, 415, 429}
    assert bool(MARKED) == (status == 202)
    assert sign or status in {401, 404, 429}
