"""What is decoded may hold anything: whoever catches what msgspec raises catches all of it (A8)."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from reconciler.errors import UNREADABLE
from reconciler.kube import review
from reconciler.kube.client import Client
from reconciler.kube.errors import ApiError
from reconciler.kube.transport import Transport
from reconciler.model import UserInfo
from reconciler.operations import backup
from tests.fuzz.answers import NO_TIME_TO_LOSE, Given
from tests.house.documents import ROOT, parsed

FILES = [file for name in ("reconciler", "webhook", "dashboard") for file in sorted((ROOT / name).rglob("*.py"))]
WHOLE = ({"UNREADABLE"}, {"ValueError", "RecursionError"}, {"UnicodeDecodeError", "RecursionError"}, {"Exception"})
DECODES = {"decoding.decoded", "decoding.unpacked", "msgspec.json.decode", "_decoder.decode"}
ATTRIBUTE = re.compile(r"\b[a-z_]+(?:\.[a-z_]+)+")
DEEP, ODD = (
    b"[" * 60_000,
    b'{"status": {"user": {"username": "\xff"}, "userInfo": {"username": "\xff"}, "allowed": "\xff"}}',
)
EVE = UserInfo("eve")


@pytest.mark.parametrize("data", [DEEP, b'"\xff"', b"{", b"1 2"], ids=["deep", "no text", "cut", "more"])
def test_whatever_msgspec_raises_is_one_of_them(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        msgspec.json.decode(data)


def test_an_engines_answer_of_any_depth_is_none() -> None:
    assert backup.answer_of({"data": {"snapshotRequest": DEEP.decode()}}) == ("", "")


@pytest.mark.parametrize("body", [b'{"a": ' + DEEP, ODD], ids=["deep", "no text"])
@pytest.mark.parametrize(
    "asked",
    [
        lambda client: review.holder(client, "t"),
        lambda client: review.another_may(client, EVE, "get", "g", "r"),
        lambda client: review.user(client),
    ],
    ids=["holder", "right", "user"],
)
def test_an_answer_about_people_of_any_content_is_an_error_of_the_server(asked: Any, body: bytes) -> None:
    given = Given()
    given.status, given.body = 201, body
    with pytest.raises(ApiError):
        asked(Client(Transport(given, limits=NO_TIME_TO_LOSE)))


def tries() -> Iterator[tuple[str, set[str]]]:
    """Every place that catches what a decoder raises, and what it catches."""
    for file in FILES:
        if DECODES.isdisjoint(ATTRIBUTE.findall(file.read_text())):
            continue
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Try) and any(map(_decodes, node.body)):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", set(_caught(node))


def _decodes(node: ast.AST) -> bool:
    return not DECODES.isdisjoint(ast.unparse(one) for one in ast.walk(node) if isinstance(one, ast.Attribute))


def _caught(node: ast.Try) -> Iterator[str]:
    for handler in node.handlers:
        for name in ast.walk(handler.type or ast.Name("Exception")):
            if isinstance(name, ast.Name | ast.Attribute):
                yield name.id if isinstance(name, ast.Name) else name.attr


@pytest.mark.xdist_group("house")  # the worker that reads every module of ours
def test_who_catches_some_of_it_catches_all() -> None:
    found = dict(tries())
    assert len(found) > 10
    assert not [where for where, caught in found.items() if not any(whole <= caught for whole in WHOLE)]
