"""An answer that Kubernetes would not give is refused in `kube`: an ApiError for each kind of wrong answer and each
verb. Generated ones: tests/fuzz."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from reconciler.errors import ApiError, ErrorClass
from reconciler.kube import edge, shape, weight
from reconciler.kube.client import Client
from reconciler.kube.discovery import Resource
from reconciler.kube.transport import Limits, Stream, Transport
from reconciler.model import HostConfig
from tests.answering import DISCOVERY, NO_GROUPS, Server, http, kubeconfig, sends
from tests.fuzz.answers import LIVE, META, REF, WANTED, Given

DEEP = "[" * 2000 + "]" * 2000


def meta(**changes: Any) -> bytes:
    return json.dumps({**LIVE, "metadata": {**META, **changes}}).encode()


def without(*names: str) -> bytes:
    return json.dumps({**LIVE, "metadata": {key: value for key, value in META.items() if key not in names}}).encode()


def whole(**changes: Any) -> bytes:
    return json.dumps({**LIVE, **changes}).encode()


RUBBISH: Mapping[str, bytes] = {
    "nothing in it": b"{}",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "no JSON": b"<html>",
    "no text": b"\xff\xfe\x00",
    "cut": whole()[:-3],
    "2,000 deep": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + json.dumps(META).encode() + b',"data":' + DEEP.encode() + b"}",
    "500 deep": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + json.dumps(META).encode()
    + b',"data":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
    "deep behind brackets in texts": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + json.dumps(META).encode()
    + b',"data":' + b'["]",' * 500 + b"1" + b"]" * 500 + b"}",
    "a number that is none": whole(data=1).replace(b'"data": 1', b'"data": 1e999'),
    "a number without end": whole(data=1).replace(b'"data": 1', b'"data": ' + b"9" * 5000),
    "text that is no UTF-8": whole(data="x").replace(b'"data": "x"', b'"data": "\xff"'),
    "a name that is no UTF-8": whole(data={"x": 1}).replace(b'"x"', b'"\xff"'),
    "no metadata": whole(metadata=None),
    "metadata a text": whole(metadata="x"),
    "metadata a list": whole(metadata=[META]),
    "no kind": whole(kind=None),
    "another kind": whole(kind="Pod"),
    "kind a number": whole(kind=3),
    "another apiVersion": whole(apiVersion="apps/v1"),
    "apiVersion a map": whole(apiVersion={}),
    "no name": without("name"),
    "another name": meta(name="b"),
    "name a number": meta(name=1),
    "another namespace": meta(namespace="kube-system"),
    "no namespace": without("namespace"),
    "no uid": without("uid"),
    "empty uid": meta(uid=""),
    "uid a number": meta(uid=7),
    "uid a page long": meta(uid="u" * 5000),
    "uid with control characters": meta(uid="u\x1b[2J"),
    "no resourceVersion": without("resourceVersion"),
    "resourceVersion a number": meta(resourceVersion=7),
    "labels a list": meta(labels=["a"]),
    "labels with numbers": meta(labels={"a": 1}),
    "annotations a text": meta(annotations="x"),
    "annotations with maps": meta(annotations={"a": {}}),
    "finalizers a map": meta(finalizers={"a": "b"}),
    "finalizers of maps": meta(finalizers=[{}]),
    "ownerReferences of texts": meta(ownerReferences=["x"]),
    "ownerReferences with a number for a uid": meta(ownerReferences=[{"uid": 1}]),
    "managedFields a map": meta(managedFields={}),
    "managedFields of texts": meta(managedFields=["nidus"]),
    "managedFields with a list for a manager": meta(managedFields=[{"manager": []}]),
    "managedFields with a text for fields": meta(managedFields=[{"fieldsV1": "x"}]),
    "generation a text": meta(generation="1"),
    "deletionTimestamp a map": meta(deletionTimestamp={}),
    "a Status that says Failure": b'{"apiVersion":"v1","kind":"Status","status":"Failure","metadata":{}}',
}  # fmt: skip

VERBS: Mapping[str, Callable[[Client], object]] = {
    "get": lambda client: client.get(REF),
    "apply": lambda client: client.apply(WANTED),
    "dry-run": lambda client: client.apply({**WANTED, "metadata": {**WANTED["metadata"], "labels": {}}}, dry_run=True),
    "create": lambda client: client.create(WANTED),
    "replace": lambda client: client.replace(LIVE),
    "status": lambda client: client.patch_status(REF, {"apiVersion": "v1", "kind": "ConfigMap", "status": {}}),
    "delete": lambda client: client.delete(REF, "u1"),
}
WRITES = frozenset({"apply", "dry-run", "create", "replace", "status", "delete"})
BY_ITSELF = frozenset({"no resourceVersion"})  # a dry-run that would create has none


def listed(*items: bytes) -> bytes:
    head = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":['
    return head + b",".join(items) + b"]}"


LISTS: Mapping[str, bytes] = {
    "an object": whole(),
    "a list of another kind": listed().replace(b"ConfigMapList", b"SecretList"),
    "a list of another group": listed().replace(b'"v1"', b'"apps/v1"'),
    "no items": b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"9"}}',
    "items null": listed().replace(b"[]", b"null"),
    "items a map": listed().replace(b"[]", b"{}"),
    "items of texts": listed(b'"a"'),
    "no resourceVersion": listed().replace(b'"resourceVersion":"9"', b""),
    "resourceVersion a number": listed().replace(b'"9"', b"9"),
    "continue a map": listed().replace(b'"9"', b'"9","continue":{}'),
    "no metadata": b'{"kind":"ConfigMapList","apiVersion":"v1","items":[]}',
}
ALSO_OF_LISTS = frozenset({"no kind", "another name"})  # items leave their kind out, and any name may be there


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with closing(Server()) as made:
        yield made


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path = kubeconfig(tmp_path_factory.mktemp("access"), server.url)
    with closing(edge.host(HostConfig(kubeconfig=str(path)))) as made:
        made.namespaced("", "ConfigMap")
        yield made


def refused(act: Callable[[], object], kind: ErrorClass) -> ApiError:
    with pytest.raises(ApiError) as error:
        act()
    assert error.value.kind is kind
    assert "Kubernetes" in error.value.message
    return error.value


CASES = [(verb, name) for verb in VERBS for name in RUBBISH if not (verb == "dry-run" and name in BY_ITSELF)]


@pytest.mark.parametrize(("verb", "name"), CASES)
def test_rubbish_is_refused(server: Server, client: Client, verb: str, name: str) -> None:
    server.answer = sends(http(200, RUBBISH[name]))
    refused(lambda: VERBS[verb](client), ErrorClass.AMBIGUOUS if verb in WRITES else ErrorClass.TRANSIENT)


@pytest.mark.parametrize("name", [name for name in RUBBISH if name not in ALSO_OF_LISTS])
def test_a_list_with_one_rubbish_item_is_refused_whole(server: Server, client: Client, name: str) -> None:
    server.answer = sends(http(200, listed(meta(name="b"), RUBBISH[name])))
    refused(lambda: client.list("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)


@pytest.mark.parametrize("name", LISTS)
def test_what_is_no_list_of_the_kind_is_refused(server: Server, client: Client, name: str) -> None:
    server.answer = sends(http(200, LISTS[name]))
    refused(lambda: client.list("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)


METADATA = b'{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"9"}%s}'


def test_the_metadata_of_a_kind_without_objects_is_an_empty_list(server: Server, client: Client) -> None:
    """So Kubernetes 1.36 answers; the cache asked again and again, and did not watch the kind any more."""
    server.answer = sends(http(200, METADATA % b',"items":null'))
    assert client.raw_list("", "ConfigMap", namespace="default", partial=True) == ([], "9")


@pytest.mark.parametrize("rest", [b"", b',"items":{}', b',"items":"null"'])
def test_metadata_without_a_list_is_refused(server: Server, client: Client, rest: bytes) -> None:
    server.answer = sends(http(200, METADATA % rest))
    refused(lambda: client.heads("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)


def test_another_object_than_the_one_written_is_ambiguous(server: Server, client: Client) -> None:
    server.answer = sends(http(200, meta(uid="u2")))
    for act in (
        lambda: client.apply(WANTED, uid="u1"),
        lambda: client.replace(LIVE),
        lambda: client.delete(REF, "u1"),
    ):
        refused(act, ErrorClass.AMBIGUOUS)


ONLY_DECODED = ("a number that is none", "a number without end", "text that is no UTF-8", "a name that is no UTF-8")
"""An event stays encoded: of a nested server its head alone is used, and the cache decodes an object when it is asked for."""

LINES: Mapping[str, bytes] = {
    "no JSON": b"x",
    "a list": b"[]",
    "no type": b'{"object":%s}' % whole(),
    "another type": b'{"type":"PLEASED","object":%s}' % whole(),
    "no object": b'{"type":"ADDED"}',
    "a bookmark without metadata": b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1"}}',
    "a bookmark without a version": b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{}}}',
    "deep": b'{"type":"ADDED","object":' + DEEP.encode() + b"}",
    **{f"an event: {name}": b'{"type":"MODIFIED","object":%s}' % body for name, body in RUBBISH.items()
       if name not in ("another name", *ONLY_DECODED)},
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_rubbish_line_of_a_watch_is_refused(server: Server, client: Client, name: str) -> None:
    server.answer = sends(http(200, LINES[name] + b"\n"))
    refused(
        lambda: list(client.watch("", "ConfigMap", since="1", namespace="default", seconds=5, silence=5)),
        ErrorClass.TRANSIENT,
    )


def aggregated(entries: int = 1, **changes: Any) -> bytes:
    entry = {"resource": "widgets", "scope": "Namespaced", "responseKind": {"kind": "Widget"}, **changes}
    many = [entry, *({**entry, "resource": f"w{n}", "responseKind": {"kind": f"W{n}"}} for n in range(1, entries))]
    group = {"metadata": {"name": "x.io"}, "versions": [{"version": "v1", "resources": many}]}
    return json.dumps({**DISCOVERY, "items": [group]}).encode()


DISCOVERIES: Mapping[str, bytes] = {
    "nothing in it": b"{}",
    "no JSON": b"<html>",
    "deep": DEEP.encode(),
    "another kind": b'{"kind":"PodList","items":[]}',
    "a path for a resource": aggregated(resource="../../api/v1/secrets"),
    "a query in a resource": aggregated(resource="widgets?watch=1"),
    "no resource": aggregated(resource=""),
    "a number for a resource": aggregated(resource=7),
    "a page for a kind": aggregated(responseKind={"kind": "W" * 5000}),
    "a path for a kind": aggregated(responseKind={"kind": "a/b"}),
    "a path for a group": aggregated().replace(b"x.io", b"x/../y"),
    "a path for a version": aggregated().replace(b'"v1"', b'"v1/../v2"'),
    "a list for a group": aggregated().replace(b'"x.io"', b"[]"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*DISCOVERIES, "100,000 kinds"])
def test_rubbish_for_discovery_is_refused(server: Server, client: Client, name: str) -> None:
    fresh, answer = Client(client.transport), DISCOVERIES.get(name) or aggregated(100_000)
    server.discovery = lambda path: answer if path == "/apis" else NO_GROUPS
    try:
        refused(lambda: fresh.namespaced("x.io", "Widget"), ErrorClass.TRANSIENT)
    finally:
        server.discovery = lambda path: json.dumps(DISCOVERY).encode() if path == "/api" else NO_GROUPS


VERSIONS = (
    b"{}",
    b"[]",
    b'{"gitVersion":7}',
    b'{"gitVersion":""}',
    b'{"gitVersion":"v1.36.3\\n"}',
    b'{"gitVersion":"x"}',
)


@pytest.mark.parametrize("body", [*VERSIONS, DEEP.encode()])
def test_rubbish_for_a_version_is_refused(server: Server, client: Client, body: bytes) -> None:
    server.answer = sends(http(200, body))
    refused(client.version, ErrorClass.TRANSIENT)


GOOD: Mapping[str, bytes] = {
    "plain": whole(),
    "with everything": meta(
        labels={"a": "b"}, annotations=None, finalizers=["x/y"], ownerReferences=[{"uid": "u", "kind": "A"}],
        managedFields=[{"manager": "nidus", "operation": "Apply", "fieldsV1": {"f:data": {}}}], generation=3),
    "brackets in texts": whole(data={"a": "[" * 900 + '\\"{' * 90}),
    "60 deep": whole(data=json.loads("[" * 58 + "]" * 58)),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_passes(server: Server, client: Client, name: str) -> None:
    server.answer = sends(http(200, GOOD[name]))
    for act in (client.get(REF), client.apply(WANTED).object, client.create(WANTED), client.replace(LIVE)):
        assert act == json.loads(GOOD[name])
    server.answer = sends(http(200, listed(GOOD[name])))
    assert client.list("", "ConfigMap", namespace="default") == ([json.loads(GOOD[name])], "9")
    server.answer = sends(http(200, b'{"type":"ADDED","object":%s}\n' % GOOD[name]))
    seen = client.watch("", "ConfigMap", since="1", namespace="default", seconds=5, silence=5)
    assert [event.head.uid for event in seen] == ["u1"]


def test_an_odd_name_of_somebody_elses_object_spoils_no_list(server: Server, client: Client) -> None:
    """Names of roles need only be good for a path; a tenant may choose them."""
    server.answer = sends(http(200, listed(meta(name="my role\n:"), whole())))
    found, _ = client.list("", "ConfigMap", namespace="default")
    assert [item["metadata"]["name"] for item in found] == ["my role\n:", "a"]
    for name in ("a/b", "a%2fb", "..", ""):
        server.answer = sends(http(200, listed(meta(name=name))))
        refused(lambda: client.list("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)


def test_a_delete_ends_with_a_status_or_the_object(server: Server, client: Client) -> None:
    server.answer = sends(http(200, b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}'))
    assert client.delete(REF, "u1") is None
    server.answer = sends(http(200, whole()))
    assert client.delete(REF, "u1") is None
    server.answer = sends(http(200, meta(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"])))
    assert client.delete(REF, "u1") is not None


# Size


def test_a_list_without_end_ends() -> None:
    """Each page says that there is another one."""
    given = Given()
    given.body = listed().replace(b'"9"', b'"9","continue":"x"')
    small = Client(Transport(given))
    told = refused(lambda: small.list("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)
    assert "does not end" in told.message


def test_all_pages_of_a_list_count_together(server: Server, client: Client) -> None:
    page = json.dumps({**json.loads(listed(whole())), "metadata": {"resourceVersion": "9", "continue": "x"}}).encode()
    server.answer = sends(http(200, page))
    for few in (Limits(whole=5 * len(whole())), Limits(values=5 * weight.values(whole()))):
        small = Client(Transport(client.transport.api, limits=few))
        small.namespaced("", "ConfigMap")
        server.seen.clear()
        error = refused(lambda of=small: of.list("", "ConfigMap", namespace="default"), ErrorClass.TRANSIENT)  # type: ignore[misc]
        assert "does not end" in error.message and len(server.seen) == 6


@pytest.mark.parametrize("piece", [b"{},", b'"",', b"0,", b"[],", b'{"a":[0]},'])
def test_an_answer_of_too_many_values_is_not_decoded(server: Server, client: Client, piece: bytes) -> None:
    """Decoded, each value takes many times the bytes it takes here."""
    many = b"[" + piece * 4000 + b"0]"
    small = Client(Transport(client.transport.api, limits=Limits(values=4000)))
    small.namespaced("", "ConfigMap")
    for body in (whole(data=1).replace(b": 1}", b": " + many + b"}"), listed(piece * 4000 + b"0"), many):
        server.answer = sends(http(200, body))
        for act, kind in ((small.get, ErrorClass.TRANSIENT), (small.delete, ErrorClass.AMBIGUOUS)):
            with pytest.raises(ApiError) as error:
                act(REF, **({"uid": "u1"} if act == small.delete else {}))
            assert error.value.kind is kind and "more than 4000 values" in error.value.message


@pytest.mark.parametrize(
    "body", [whole(data={"a": "x" * weight.OBJECT}), whole(data=[0] * weight.VALUES)], ids=["bytes", "values"]
)
def test_an_object_larger_than_any_is_refused(body: bytes) -> None:
    resource = Resource("", "v1", "ConfigMap", "configmaps", True)
    with pytest.raises(ApiError) as error:
        shape.decoded(body, shape.Asked("get", resource, "default", "a"))
    assert "larger than any object" in error.value.message


def test_an_event_without_end_is_cut_off(server: Server, client: Client) -> None:
    def floods(peer: Any) -> None:
        peer.sendall(b"HTTP/1.1 200 X\r\n\r\n" + b'{"type":"ADDED","object":{"data":"')
        while True:
            peer.sendall(b"x" * (1 << 20))

    server.answer = floods
    watch = client.watch("", "ConfigMap", since="1", namespace="default", seconds=60, silence=60)
    assert "larger than any object" in refused(lambda: list(watch), ErrorClass.TRANSIENT).message


def test_lines_arrive_whole_however_they_are_cut() -> None:
    class Given:
        def __init__(self, *chunks: bytes) -> None:
            self.chunks = chunks

        def stream(self, size: int) -> Iterator[bytes]:
            yield from self.chunks

        def close(self) -> None:
            pass

    for chunks in ((b"a\nbc", b"d", b"\n\ne\n"), (b"a\nbcd\n", b"\ne\n"), (b"a", b"\n", b"bcd\n\ne\n", b"rest")):
        assert list(Stream(Given(*chunks), Limits(), 5.0)) == [b"a", b"bcd", b"", b"e"]


@pytest.mark.parametrize("levels", [weight.DEPTH - 3, weight.DEPTH])
def test_the_depth_of_a_large_answer_is_counted_outside_of_texts(levels: int) -> None:
    """Also where its parts are looked at one after the other."""
    items: list[Any] = ["]", "[[", 'a"[', "\\", {"[": "{"}] * 40_000
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    raw = json.dumps([items, deep, items]).encode()
    assert weight.is_shallow(raw) is (levels < weight.DEPTH)
