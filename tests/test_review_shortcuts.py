"""What a plan leaves out because its inputs are the same, the full computation would have found unchanged: both give one review."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler import review
from reconciler.model import Review, Snapshot, replace
from tests.documents import cluster, config_map, pack, profile
from tests.examples import examples
from tests.passes import FACTS, SOURCE, START, Fleet

QUOTAS = st.sampled_from([{}, {"quota": {"cpu": "2"}}, {"description": "for people"}, {"suspend": {"reason": "a day"}}])
USES = st.sampled_from(["1.0.0", "1.x", "9.9.9"])  # the last is no version of the profile
CLUSTERS = st.dictionaries(st.sampled_from("abc"), st.tuples(QUOTAS, USES), min_size=1)
REPOS = st.tuples(CLUSTERS, st.sampled_from(["one", "two"]))


def files(repo: tuple[Mapping[str, tuple[dict[str, object], str]], str]) -> dict[str, str]:
    clusters, name = repo
    found = {"web.yaml": profile(pack("base", config_map(name)))}
    for each, (more, version) in clusters.items():
        found[f"{each}.yaml"] = cluster(each, profiles=[{"name": "web", "version": version}], **more)
    return found


class Given:
    """Two revisions of one source, of which the first one runs."""

    def __init__(self, fleet: Fleet, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self.fleet = fleet
        fleet.push(before)
        fleet.run()
        old = fleet.git.newest
        self.before = self._read(old)
        fleet.git.commit({**dict.fromkeys(before, ""), **after})
        self.after = self._read(fleet.git.newest)
        states = dict(fleet.store.load().states)
        commits = {name: state.record.commit for name, state in states.items()}
        accepted = {name: fleet.git.accepted(one) for name, one in commits.items() if one in fleet.git.commits}
        self.standing = review.Standing(states, accepted, (), b"salt")
        self.made: list[str] = []

    def review(self, standing: review.Standing, against: review.Base | None = None) -> Review:
        now, rules = START + self.fleet.now, self.fleet.rules
        return review.review(self.after, standing, rules, FACTS, self.fleet.reader, now, against=against)

    def base(self) -> review.Base:
        """Notes each cluster whose bundle is made for it."""
        found = review.base(self.before, self.standing, self.fleet.rules, FACTS, START + self.fleet.now)
        return replace(found, made=lambda name: self.made.append(name) or found.made(name))  # type: ignore[func-returns-value]

    def forgotten(self) -> review.Standing:
        """The records without the inputs that would save work."""
        states = {
            name: replace(state, record=replace(state.record, inputs=""))
            for name, state in self.standing.states.items()
        }
        return replace(self.standing, states=states)

    def _read(self, commit: str) -> Snapshot:
        return self.fleet.git.read(commit, self.fleet.rules, running=self.fleet.registry.running(SOURCE))


@examples(6)
@given(REPOS, REPOS)
def test_what_is_left_out_would_have_been_found_unchanged(
    before: tuple[Mapping[str, tuple[dict[str, object], str]], str],
    after: tuple[Mapping[str, tuple[dict[str, object], str]], str],
) -> None:
    fleet = Fleet()
    try:
        one = Given(fleet, files(before), files(after))
        base = one.base()
        full = replace(base, inputs=dict.fromkeys(base.inputs, ""))
        assert one.review(one.standing, base) == one.review(one.standing, full)
        assert one.review(one.standing) == one.review(one.forgotten())
        event(f"{len(one.review(one.standing, base).clusters)} moved")
    finally:
        fleet.close()


def test_of_the_base_only_what_differs_is_resolved() -> None:
    fleet = Fleet()
    try:
        names = [f"c{number}" for number in range(8)]
        before = {
            "web.yaml": profile(pack("base", config_map("one"))),
            **{f"{one}.yaml": cluster(one) for one in names},
        }
        one = Given(fleet, before, {**before, "c3.yaml": cluster("c3", quota={"cpu": "2"})})
        found = one.review(one.standing, one.base())
        assert [each.cluster for each in found.clusters] == ["c3"]
        assert {*one.made} == {"c3"}
        assert found.same == len(names) - 1
    finally:
        fleet.close()
