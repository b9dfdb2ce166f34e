"""`python .ci/dist.py IMAGE HELM`: what a release carries besides wheel and bill of materials, into dist/, and checksums of all.

IMAGE is NAME@sha256:DIGEST: the released chart and install.yaml name the image by it. The work tree stays as it is.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from schemas import install

DIST = Path("dist")
SUMS = "SHA256SUMS"
_IMAGE = re.compile(r"([a-z0-9][a-z0-9._:/-]*)@(sha256:[0-9a-f]{64})")


def released(image: str, folder: Path) -> Path:
    """A copy of the chart in `folder` whose values name the image. Raises ValueError for an image without a digest."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise ValueError(f"{image} is no NAME@sha256:DIGEST")
    chart = folder / "nidus"
    shutil.copytree(install.CHART, chart)
    values = chart / "values.yaml"
    text = re.sub(
        r"(?m)^  repository: nidus\b.*$", f"  repository: {found[1]}", values.read_text(encoding="utf-8"), count=1
    )
    text = re.sub(r'(?m)^  digest: "".*$', f"  digest: {found[2]}", text, count=1)
    values.write_text(text, encoding="utf-8")
    return chart


def sums(folder: Path) -> str:
    """Of every file in the folder but the list itself, as sha256sum writes them."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def main(image: str, helm: str) -> None:
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        chart = released(image, Path(made))
        subprocess.run([helm, "package", str(chart), "--destination", str(DIST)], check=True)
        (DIST / "install.yaml").write_text(install.installed(chart), encoding="utf-8")
    (DIST / SUMS).write_text(sums(DIST), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
