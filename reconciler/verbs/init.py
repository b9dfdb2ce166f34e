"""`nidus init DIR`: a repository to begin with. It validates and plans as it is."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import schemas
from reconciler.errors import NidusError, UsageError
from reconciler.verbs import new

GIT_SECONDS = 30
EXAMPLES = (("clusters", "a new folder with one profile and one cluster"),)
README = """\
# Nested clusters
One file below `clusters/` is one nested cluster, one below `profiles/` is software that clusters share.

```sh
nidus validate                  # all mistakes at once, without a cluster
nidus render {cluster}               # the manifests, without a cluster
nidus plan                      # what a push would change, against the live state
nidus new cluster NAME --profile {profile} --set team=NAME
```

A change of a profile, or of a file of its packs, is a new version: copy the profile's file, and each file that changes, and write
the next `version` into the copy. Clusters that ask for a range such as `1.x` take it by themselves.

A cluster whose file is removed goes after the grace period of its `deletion`; putting the file back before that keeps it.

`schemas/` is for editors: the first line of each file names its schema. `nidus schema --dir schemas` renews it.
"""
IGNORED = """\
# kubeconfigs and keys do not belong here
*.kubeconfig
kubeconfig
*.key
*.pem
"""
CLUSTER, BASE = "dev", "baseline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder that is empty or not there yet")


def run(args: argparse.Namespace) -> int:
    """Writes the files, and makes the folder a Git repository unless it lies in one."""
    folder: Path = args.dir
    if folder.exists() and (not folder.is_dir() or any(one.name != ".git" for one in folder.iterdir())):
        raise UsageError(f"{folder} is not empty", hint=f"nidus new cluster NAME --folder {folder}")
    try:
        _fill(folder)
        _made_repository(folder)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}", hint="nidus init DIR") from error
    print(f"next: cd {folder} && nidus validate && git add --all && git commit -m 'One cluster'")
    return 0


def _fill(folder: Path) -> None:
    schemas.write(folder / "schemas")
    made = {
        "README.md": README.format(cluster=CLUSTER, profile=BASE),
        ".gitignore": IGNORED,
    }
    for name, text in made.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(file)
    print(new.profile(folder, BASE, "apps", "What every cluster of this repository has"))
    print(new.cluster(folder, CLUSTER, (new.Use(BASE, ""),), {"team": CLUSTER}))


def _made_repository(folder: Path) -> None:
    """Raises NidusError where git does not run: a plan needs it."""
    known = subprocess.run(
        ["git", "rev-parse", "--git-dir"], cwd=folder, capture_output=True, check=False, timeout=GIT_SECONDS
    )
    if known.returncode:
        words = ["git", "init", "--quiet", "--initial-branch=main"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
        if done.returncode:
            raise NidusError(f"git init in {folder}: {done.stderr.strip()[:300]}")
