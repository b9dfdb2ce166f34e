"""Change requests of a real repository on a forge of the tests, against a fleet in memory: what the controller's loop over them does,
one round at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from reconciler.controller.changes import Changes
from reconciler.controller.reviewing import Reviewer, Tools
from reconciler.forges import FORGES
from reconciler.inventory import requests
from reconciler.inventory.reviews import Reviews
from reconciler.model import Held, Limits, Request, ReviewConfig, SourceConfig, VerifyConfig, replace
from reconciler.report import view
from reconciler.source.changes import ChangesMirror
from reconciler.source.history import trailers
from tests.forge.server import Forge
from tests.passes import HOME, RULES, SOURCE, START, Fleet
from tests.test_source_mirror import Work

REFS = {"github": "refs/pull/{}/head", "gitea": "refs/pull/{}/head", "gitlab": "refs/merge-requests/{}/head"}
OWNER = f"{HOME}/{SOURCE}"


class Scene:
    """`work` is the repository, `forge` where its change requests are, `fleet` what runs; `files` are those of the branch."""

    verify: VerifyConfig | None = None
    limits = Limits()
    path = "."  # of the source

    def __init__(self, folder: Path, files: Mapping[str, str], provider: str = "github") -> None:
        self.folder, self.files, self.seen = folder, dict(files), START + 100.0
        rules = replace(RULES, forges=(SOURCE,))
        self.work, self.forge, self.fleet = Work(folder / "work"), Forge(provider), Fleet(rules)
        self.read = ""
        self.token = folder / "token"
        self.token.write_text(self.forge.state.token)
        self.work.commit(self.files)
        self.admit()
        self.mirrors: list[ChangesMirror] = []
        self.changes = self.made()

    def made(self, **review: object) -> Changes:
        """The loop of a process that begins now."""
        source = SourceConfig(name=SOURCE, url=str(self.work.folder), path=self.path, verify=self.verify)
        for mirror in self.mirrors:
            mirror.close()
        mirror = ChangesMirror.open(source, self.folder / "mirror", limits=self.limits)
        self.mirrors.append(mirror)
        clock = lambda: START + self.fleet.now  # noqa: E731
        fleet = self.fleet
        records = Reviews(fleet._client(fleet.host), HOME, {SOURCE: self.forge.api})
        given = (b"salt", self.limits, fleet.consented, self.word, clock, records, self.held, self.ask, self.stages)
        tools = Tools(fleet.registry, lambda bundle, read: fleet.reader(bundle), *given)
        forge = self.forge
        client = FORGES[forge.provider](forge.api, forge.state.repository, str(self.token), "")
        place = forge.provider, forge.api
        self.changes = Changes(
            OWNER, "main", ReviewConfig(**review), client, place, Reviewer(SOURCE, mirror, tools), clock
        )  # type: ignore[arg-type]
        self.changes.recall(records.load()[SOURCE])
        return self.changes

    def restart(self) -> None:
        """The process is killed, and another one begins with what the host remembers. It has not read the branch yet."""
        self.fleet.start()
        self.seen += 3600.0
        self.made()

    def word(self, name: str) -> tuple[str, str]:
        return view.word(self.fleet.reporter.clusters.get(name))

    def held(self, clusters: Collection[str]) -> list[tuple[str, Held]]:
        """As the running process tells it: of clusters, and of the source."""
        known = self.fleet.reporter.clusters
        found = [(name, one.held) for name in clusters if (one := known.get(name)) and one.held]
        return [*found, *(("", one) for one in self.fleet.held.values())]

    def stages(self, commit: str) -> dict[str, float]:
        """As a source tells it: seen two seconds before it is admitted, by each process anew."""
        return {"seen": self.seen, "admitted": self.seen + 2.0}

    def ask(self, request: Request) -> None:
        """As the running process stores it; its watch hears of it."""
        requests.write(self.fleet._client(self.fleet.host), HOME, request)
        self.fleet.unheard = True

    def synced(self, commit: str) -> list[str]:
        """The statuses nidus/sync of a commit, oldest first."""
        found = [one for one in self.forge.state.statuses if (one.commit, one.name) == (commit, "nidus/sync")]
        return [f"{one.state}: {one.told}" for one in found]

    def close(self) -> None:
        self.forge.close()
        self.fleet.close()
        for mirror in self.mirrors:
            mirror.close()

    # People

    def branch(
        self, files: Mapping[str, str], *, gone: tuple[str, ...] = (), on: str = "main", name: str = "feature"
    ) -> str:
        """A commit on a branch of its own, which begins at `on` or goes on; its id."""
        known = self.work.git("branch", "--list", name)
        self.work.git("checkout", "-q", *([name] if known else ["-b", name, on]))
        head = self.work.commit(dict(files), gone=gone)
        self.work.git("checkout", "-q", "main")
        return head

    def open(self, files: Mapping[str, str], *, gone: tuple[str, ...] = (), name: str = "", **more: str) -> int:
        """Somebody opens a change request; its number."""
        number = len(self.forge.state.changes) + 1
        head = self.branch(files, gone=gone, name=name or f"feature-{number}")
        assert self.forge.state.open(head, **more) == number
        self.place(number, head)
        return number

    def place(self, number: int, head: str) -> None:
        self.work.git("update-ref", REFS[self.forge.provider].format(number), head)

    def push(self, number: int, files: Mapping[str, str], *, gone: tuple[str, ...] = (), name: str = "") -> str:
        """The author of a change request pushes once more."""
        head = self.branch(files, gone=gone, name=name or f"feature-{number}")
        self.place(number, head)
        self.forge.state.pushed(number, head)
        return head

    def commit(self, files: Mapping[str, str], *, gone: tuple[str, ...] = ()) -> str:
        """Somebody pushes to the branch itself, and the controller applies it."""
        commit = self.work.commit(dict(files), gone=gone)
        self.admit()
        self.changes.asked()
        return commit

    def admit(self) -> None:
        """The controller reads the branch as it is now, and works until nothing is left to do."""
        folder = self.work.folder  # where it is checked out
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and folder / ".git" not in path.parents)
        self.files = {path.relative_to(folder).as_posix(): path.read_text() for path in paths}
        commit, tree = self.work.git("rev-parse", "main", "main^{tree}").split()
        new = self.work.git("rev-list", commit, *([f"^{self.read}"] if self.read else [])).split()
        told = (found for each in new for found in trailers(self.work.git("cat-file", "commit", each).encode()))
        descends = not self.read or self.work.git("merge-base", self.read, commit).strip() == self.read
        self.fleet.git.commit(self.files, commit, tree, tuple(told), descends=descends)
        self.read = commit
        self.fleet.admit()
        self.fleet.run()

    def merge(self, number: int, how: str = "merge", *, admitted: bool = True) -> str:
        """Somebody merges it on the forge: by a merge commit, squashed, rebased or as a fast-forward; the commit."""
        head, git = self.forge.state.changes[number].head, self.work.git
        git("checkout", "-q", "main")
        if how == "merge":
            git("merge", "-q", "--no-ff", "-m", f"Merge #{number}", head)
        elif how == "squash":
            git("merge", "-q", "--squash", head)
            git("commit", "-q", "-m", f"Squash #{number}")
        elif how == "rebase":
            git("checkout", "-q", "--detach", head)
            git("rebase", "-q", "--force-rebase", "main")
            rebased = git("rev-parse", "HEAD")
            git("checkout", "-q", "main")
            git("merge", "-q", "--ff-only", rebased)
        else:
            git("merge", "-q", "--ff-only", head)
        commit = git("rev-parse", "main")
        self.forge.state.merge(number, commit)
        if admitted:
            self.admit()
        return commit

    # The controller

    def look(self) -> None:
        """One round after the forge announced something."""
        self.changes.asked()
        self.changes.look()

    def ours(self, number: int) -> str:
        """Our one comment, as it reads."""
        (found,) = self.forge.state.ours(number)
        return found

    def shown(self, number: int) -> str:
        """The last status of its head, in words."""
        head = self.forge.state.changes[number].head
        return [
            f"{one.state}: {one.told}"
            for one in self.forge.state.statuses
            if (one.commit, one.name) == (head, "nidus/plan")
        ][-1]

    def wrote(self) -> list[str]:
        """What was written to the forge since this was asked last."""
        found = [f"{one.method} {one.path.rpartition('/repos/acme/platform/')[2]}" for one in self.forge.wrote()]
        self.forge.asked.clear()
        return found
