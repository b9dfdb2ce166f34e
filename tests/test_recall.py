"""What was accepted is read again from its commit after a restart, equal, whatever the branch holds by then (S8, V4). Real Git."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler import fleet
from reconciler.controller.source import Ports, Source
from reconciler.errors import NidusError
from reconciler.model import Content, Limits, Record, Rollout, Snapshot, SourceConfig, SourceReport, replace
from reconciler.source.mirror import Mirror
from reconciler.spec import resolve
from reconciler.spec.units import size
from tests.fleets import NOW, record
from tests.spec_cases import FACTS, FILES, RULES
from tests.test_source_mirror import Work

MUTABLE = replace(RULES, profile_versions="Mutable")


class Following:
    """One source over a real mirror, and what its snapshots admit: a controller without clusters."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.folder = work, folder
        self.records: dict[str, Record] = {}
        self.accepted: dict[str, Content] = {}
        self.reports: list[SourceReport] = []
        self.rollout: Rollout | None = None
        self.mirror: Mirror | None = None

    def start(self) -> Source:
        """A new process: nothing is remembered but the mirror and the records."""
        self.stop()
        config = SourceConfig(name="platform", url=str(self.work.folder))
        self.mirror = Mirror.open(config, self.folder, limits=Limits())
        accepted = {"platform": self.accepted}
        ports = Ports(
            self._revise,
            lambda source: None,
            lambda source, trigger: None,
            self.reports.append,
            lambda source: accepted[source],
            lambda: self.records,
            lambda source: {},
        )
        return Source(config, self.mirror, MUTABLE, FACTS, Limits(), ports)

    def stop(self) -> None:
        self.accepted = {}
        if self.mirror is not None:
            self.mirror.close()

    def sync(self, source: Source) -> SourceReport:
        source.wake.up("test")
        source.step(source.wake.take())
        return self.reports[-1]

    def _revise(self, snapshot: Snapshot, forced: bool) -> Rollout:
        self.rollout = rollout = fleet.admit(snapshot, self.accepted, self.records, (), MUTABLE, NOW)
        for name, content in rollout.admitted.items():
            self.accepted[name] = content
            digests = resolve.digests(name, content)
            self.records[name] = replace(record(name, digests=digests), commit=content.revision.commit)
        return rollout


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.commit(FILES)
    return made


@pytest.fixture
def following(work: Work, tmp_path: Path) -> Iterator[Following]:
    made = Following(work, tmp_path / "mirror")
    yield made
    made.stop()


def linked(work: Work) -> None:
    (work.folder / "profiles/web/config.yaml").unlink()
    (work.folder / "profiles/web/config.yaml").symlink_to("../../elsewhere.yaml")


def large(work: Work) -> None:
    (work.folder / "charts/front/templates/a.yaml").write_text("#" * (size(Limits().file) + 1))


def folder_linked(work: Work) -> None:
    (work.folder / "charts").rename(work.folder / "moved")
    (work.folder / "charts").symlink_to("moved")


WAYS: tuple[Callable[[Work], None], ...] = (linked, large, folder_linked)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_accepted_is_recalled_equal_after_the_branch_became_unreadable(
    following: Following, work: Work, way: Callable[[Work], None]
) -> None:
    source = following.start()
    following.sync(source)
    before = following.accepted["team-a"]
    way(work)
    work.commit({})
    report = following.sync(source)
    assert following.accepted["team-a"] == before
    assert any(one.subject == "profile/web@1.2.0" for one in report.violations) and not report.error
    again = following.start()
    recalled = again.recall().contents["team-a"]
    assert recalled == before
    assert resolve.bundle("team-a", recalled, MUTABLE, FACTS) == resolve.bundle("team-a", before, MUTABLE, FACTS)
    following.accepted["team-a"] = recalled
    following.sync(again)
    assert following.accepted["team-a"] == before
    assert following.rollout is not None and not following.rollout.tombstones


def test_a_blob_the_mirror_lost_is_an_error_never_an_empty_file(following: Following, work: Work) -> None:
    source = following.start()
    following.sync(source)
    before = following.accepted["team-a"]
    oid = before.specs.profiles["web", "1.2.0"].files["base"][0][1]
    for pack in (following.folder / "objects" / "pack").iterdir():
        pack.unlink()
    for loose in (work.folder / ".git" / "objects").glob("??/*"):
        place = following.folder / "objects" / loose.parent.name / loose.name
        if loose.parent.name + loose.name != oid:
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(loose.read_bytes())
        elif place.exists():
            place.unlink()
    work.folder.rename(work.folder.with_name("away"))
    again = following.start()
    found = again.recall()
    assert found.missing.keys() == {"team-a"} and not found.contents
    with pytest.raises(NidusError):
        again.read([oid])
    report = following.sync(again)
    assert report.error and following.accepted == {}
