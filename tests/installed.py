"""The objects of deploy/install.yaml and deploy/crds, read once a process."""

import copy
from functools import cache
from typing import Any

import yaml

from tests.house.documents import ROOT

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str) -> list[dict[str, Any]]:
    """The objects of some manifests."""
    return [one for one in yaml.load_all(text, LOADER) if one]


def of(*kinds: str) -> list[dict[str, Any]]:
    """Those of these kinds, in the file's order, the caller's own."""
    return [copy.deepcopy(one) for one in _all() if one["kind"] in kinds]


def kinds() -> list[dict[str, Any]]:
    """The definitions of our kinds, the caller's own."""
    return copy.deepcopy(_kinds())


@cache
def _kinds() -> list[dict[str, Any]]:
    files = sorted((ROOT / "deploy" / "crds").glob("*.yaml"))
    return [one for file in files for one in read(file.read_text(encoding="utf-8"))]


@cache
def _all() -> list[dict[str, Any]]:
    return read((ROOT / "deploy" / "install.yaml").read_text(encoding="utf-8"))
