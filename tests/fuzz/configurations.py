"""The configuration file of the controller: any content, from the file to the rules of admission."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import yaml

from reconciler import settings
from reconciler.errors import NidusError
from tests.fuzz import repositories, values
from tests.fuzz.harness import Case

ROOT = Path(__file__).parents[2]
BODY: dict[str, Any] = {
    "apiVersion": "nidus.dev/v1alpha1",
    "kind": "ControllerConfig",
    "spec": {
        "namespace": "nidus-system",
        "sources": [
            {"name": "p", "url": "https://git.example.com/p.git", "interval": "1m", "branch": "main", "path": ".",
             "credentials": {"tokenFile": "/etc/nidus/token"}, "webhook": {"provider": "github", "secretFiles": ["/etc/nidus/w"]}}
        ],
        "engine": {"versions": [{"version": "0.36.1", "chart": {"path": "/nowhere"}}], "kubernetesVersions": ["v1.36.0"]},
        "limits": {"file": "1Mi", "total": "64Mi"},
        "deletion": {"grace": "1h", "budget": {"clusters": 3}},
        "policy": {"dnsPattern": "*.nested.example.com"},
    },
}  # fmt: skip


def configurations() -> Case:
    """Written to a file and loaded, as `nidus run --config` does."""
    file = Path(tempfile.mkdtemp(prefix="nidus-fuzz-")) / "nidus.yaml"
    text = yaml.safe_dump(BODY).encode()

    def case(draw: Random) -> None:
        spoils = draw.random() < 0.25
        file.write_bytes(repositories.spoilt(draw, text) if spoils else values.encoded(values.change(draw, BODY, 4)))
        try:
            found = settings.load(str(file))
            assert found.rules.grace >= 0
            found.facts("v1.36.0")
        except NidusError as error:
            assert error.message.isprintable() and error.hint.isprintable()

    return case
