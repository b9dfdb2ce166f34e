"""Files that stand beside the packages in a clone and inside this one in a wheel: deploy/ and sample-repo/."""

from pathlib import Path
from typing import Final

PACKED: Final = Path(__file__).parent / "assets"
CLONE: Final = Path(__file__).parent.parent


def folder(name: str) -> Path:
    """The folder `deploy` or `sample-repo`, wherever Nidus was installed from."""
    return PACKED / name if PACKED.is_dir() else CLONE / name
