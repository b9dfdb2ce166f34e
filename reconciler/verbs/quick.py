"""What a local repository must have before `nidus run --repo PATH` starts: later, a controller waits for it for ever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, UsageError, few
from reconciler.model import DashboardConfig, replace
from reconciler.source.address import inside, parse
from reconciler.source.folder import git, says
from reconciler.verbs import above, known

if TYPE_CHECKING:
    from reconciler.model import SourceConfig
    from reconciler.settings import Settings

_BEGIN = "nidus init DIR writes a first cluster; then git init, git add --all && git commit"
_SHOWN = 5  # branches that are named
_BARE = ("HEAD", "objects", "refs")


def check(told: Settings) -> None:
    """Nothing of a repository elsewhere or a bare one. Raises UsageError where the folder is none, Stalled where its branch is not
    there, or where no document of ours is committed and no cluster stands whose removal that could be, Unavailable where git fails."""
    source = told.config.sources[0]
    folder = parse(source).local
    if folder is None or all((folder / name).exists() for name in _BARE):
        return
    _repository(folder)
    commit = _commit(folder, source)
    if not says(
        folder, "grep", "--quiet", "--fixed-strings", "-e", "nidus.dev/", commit, "--", inside(source.path) or "."
    ):
        _nothing(folder, source, told)


def shown(told: Settings, port: int) -> Settings:
    """With the dashboard at this port, for this machine alone. Raises UsageError for a port that is none."""
    if not 0 < port < 65536:
        raise UsageError(f"--dashboard {port}: no port", hint="such as 9294")
    server = replace(told.config.server, dashboard=DashboardConfig(f"127.0.0.1:{port}"))
    return replace(told, config=replace(told.config, server=server))


def _repository(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint=f"--repo names a folder or a URL; {_BEGIN}")
    if git(folder, "rev-parse", "--show-cdup") is None:
        raise UsageError(f"{folder} is no Git repository that can be read", hint=_BEGIN)
    if top := above.whole(folder):
        hint = f"nidus run --repo {top} --path {os.path.relpath(folder, top)}"
        raise UsageError(f"{folder} is one folder of a repository", hint=hint)


def _commit(folder: Path, source: SourceConfig) -> str:
    found = git(folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{source.branch}^{{commit}}")
    if found is not None:
        return found.decode().strip()
    listed = git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads") or b""
    names = listed.decode("utf-8", "replace").split()
    hint = f"--branch; there are: {few(names, _SHOWN)}" if names else "it has no commit: git add --all && git commit"
    raise Stalled(f"the branch {source.branch} does not exist in {folder}", hint=hint)


def _nothing(folder: Path, source: SourceConfig, told: Settings) -> None:
    from reconciler.kube import edge

    if not known.listed(edge.host(told.config.host), "NestedCluster", told.config.namespace)[0]:
        place = f" below {source.path}" if source.path.strip("/.") else ""
        message = f"no document of ours is committed in {folder}{place}, branch {source.branch}"
        hint = "git add --all && git commit, where you have written some; nidus init DIR writes a first cluster"
        raise Stalled(message, hint=hint)
