"""Files that SOPS encrypted, damaged in any way: as a source reads them, and as a worker decrypts them."""

from pathlib import Path
from random import Random

import yaml as plain

from reconciler.errors import NidusError
from reconciler.model import Limits
from reconciler.packs import keys, sops
from reconciler.packs.documents import LIMITS
from reconciler.packs.sealed import judge
from reconciler.spec import encrypted, manifests, yaml
from tests.fuzz import values
from tests.fuzz.content import told
from tests.fuzz.harness import Case

FILES = Path(__file__).parent.parent / "sops"
NAMES = ("login", "only", "both", "secret-values", "whole")
KEYS = (*keys.read(FILES / "old"), *keys.read(FILES / "new"))


def files() -> Case:
    """No damage is read as anything but what was encrypted, whole."""
    known = {name: (FILES / f"{name}.yaml").read_bytes() for name in NAMES}
    trees = {name: list(plain.safe_load_all(data)) for name, data in known.items()}
    clear = {str(one) for name in NAMES for one in sops.opened(name, trees[name], KEYS).values()}

    def case(draw: Random) -> None:
        name = draw.choice(NAMES)
        data = known[name]
        if draw.random() < 0.5:
            data = values.written(*(values.change(draw, one) for one in trees[name]))
        data = values.damage(draw, data) if draw.random() < 0.5 else data
        found = manifests.read("a.yaml", "0" * 40, data, Limits(), objects=draw.random() < 0.5)
        assert all(one.message.isprintable() for one in found.violations)
        bodies = [one.body for one in yaml.parse(data, "a.yaml", LIMITS, largest=1 << 63).documents]
        try:
            read = sops.opened("a.yaml", bodies, draw.sample(KEYS, draw.randint(0, 2)))
            assert {str(one) for one in read.values()} <= clear
            judge((("a", sops.filled_secrets(encrypted.bare(one), read)) for one in bodies), map(str, read.values()))
        except NidusError as error:
            told(error)

    return case
