"""Kustomizations of a repository: whatever is written, either every file is one of the repository or nothing is built (K5)."""

from collections.abc import Iterator
from random import Random
from typing import Any

from reconciler.model import Limits
from reconciler.spec import kustomize
from tests.fuzz import values
from tests.fuzz.harness import Case

OVERLAY: dict[str, Any] = {
    "resources": ["../base"],
    "namespace": "web",
    "patches": [{"path": "p.yaml", "target": {"kind": "Deployment"}}, {"patch": "- op: remove"}],
    "replacements": [{"path": "p.yaml"}, {"source": {"kind": "Service"}, "targets": []}],
    "configMapGenerator": [{"name": "a", "files": ["p.yaml", "b=p.yaml"], "envs": ["p.yaml"]}],
    "openapi": {"path": "p.yaml"},
    "labels": [{"pairs": {"Path": "x"}}],
}
REMOTE = "https://example.com/p"
SHADOW = "over/https:/example.com/p"
FILES = ("base/kustomization.yaml", "base/a.yaml", "over/kustomization.yaml", "over/p.yaml", SHADOW)
PATHS = frozenset({"path", "files", "envs", "env", "resources", "bases", "components", "crds", "configurations"})
LETTERS = str.maketrans({"s": "\u017f", "k": "\u212a"})


def kustomizations() -> Case:
    """An overlay with anything changed, and fields that may name a file in other letters."""

    def case(draw: Random) -> None:
        body = values.change(draw, OVERLAY) if draw.random() < 0.7 else dict(OVERLAY)
        if isinstance(body, dict) and draw.random() < 0.8:
            body = led_away(draw, body)
        text = values.encoded(body)
        data = {
            FILES[0]: b"resources: [a.yaml]\n",
            FILES[2]: values.damage(draw, text) if draw.random() < 0.2 else text,
        }
        tree = kustomize.Tree(sorted(FILES), dict.fromkeys(FILES, "oid"), data.get)
        try:
            found = kustomize.read("over", tree, Limits())
        except kustomize.Refused as error:
            assert all(isinstance(one, str) for one in error.mistake)
            return
        assert set(found) <= set(FILES)
        if data[FILES[2]] == text:  # what is damaged may say anything
            assert isinstance(body, dict) and REMOTE not in named(body)

    return case


def led_away(draw: Random, body: dict[str, Any]) -> dict[str, Any]:
    """The body with a remote address at a field that names a file, as kustomize would take it in any case of letters."""
    name = draw.choice(["patches", "replacements", "configMapGenerator"])
    field = draw.choice(["path", "files", "envs", "env"])
    field = draw.choice((field, field.upper(), field.capitalize(), field.translate(LETTERS)))
    given: Any = [f"a={REMOTE}"] if field.casefold() in ("files", "envs") else REMOTE
    return {**body, name: [{"name": "a", field: given}]}


def named(body: dict[str, Any]) -> list[str]:
    """What a decoder that knows no case of letters would read as files of the items."""
    items = [one for key in ("patches", "replacements", "configMapGenerator") for one in listed(body.get(key))]
    return [text for item in items if isinstance(item, dict) for key, one in item.items() for text in texts(key, one)]


def texts(key: str, value: Any) -> Iterator[str]:
    if key.casefold() in PATHS:
        yield from (str(one).rpartition("=")[2] for one in listed(value))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
