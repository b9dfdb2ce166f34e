"""The example and its page as tests use them: copied for a server of the test's own, its commands typed, its packs looked at."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.content.server import Site
from tests.host.field import ROOT, Field
from tests.tekton.releases import BASE

EXAMPLE = ROOT / "examples" / "tekton"
PAGE = ROOT / "docs" / "tasks" / "tekton.md"
ALLOWED = "controller.yaml"


def copied(folder: Path, site: Site, **changes: str) -> None:
    """The example in `folder`, with the server's address and these words changed."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    for file in folder.rglob("*.yaml"):
        text = file.read_text().replace(BASE, site.url)
        for old, new in changes.items():
            text = text.replace(old.replace("_", "-"), new)
        file.write_text(text)


def allowed(site: Site) -> dict[str, Any]:
    """What the example's own page says that an operator allows, for this server."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLE / ALLOWED).read_text())["spec"]
    spec["content"]["allow"] = [{"prefix": f"{site.url}/", "plainHTTP": True}]
    return {key: spec[key] for key in ("content", "ceilings", "policy")}


def typed(own: Field, folder: Path, lines: list[str], name: str, **more: str) -> str:
    """Run these commands of the page for the cluster `name`, in one shell, as shell() does; what they print."""
    script = "\n".join(lines).replace("nidus-shared", own.account.shared).replace("tekton-demo", name)
    verbs = r"^nidus (wait|status|why|connect) "
    return shell(
        own, folder, re.sub(verbs, rf"nidus \1 -n {own.account.namespace} ", script, flags=re.MULTILINE), **more
    )


def commands(section: str) -> list[str]:
    """The lines of the page's commands under this heading."""
    part = PAGE.read_text().partition(f"\n## {section}")[2].partition("\n## ")[0]
    found = "".join(re.findall(r"^```sh\n(.*?)^```", part, re.MULTILINE | re.DOTALL)).splitlines()
    assert found, f"no commands under {section!r}"
    return found


def shell(own: Field, folder: Path, script: str, **more: str) -> str:
    """Run a script as an administrator of the host, in `folder`, with `more` in its environment; what it prints."""
    tools = f"{Path(sys.executable).parent}:{own.account.hosted.kubectl.parent}"
    access = folder / "kubeconfig"
    if not access.exists():
        access.write_bytes(own.account.hosted.kubeconfig.read_bytes())
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "KUBECONFIG": str(access),
        "XDG_CACHE_HOME": str(folder / "cache"),
        **dict.fromkeys(("EDITOR", "USER", "TOKEN"), "true"),
        **{f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **more,
    }
    words = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def layer(own: Field, name: str, pack: str) -> dict[str, Any]:
    found = own.status(name).get("layers", [])
    return next((one for one in found if one["name"] == f"tekton-stack/{pack}"), {})
