"""Whatever two people push, merge, close and approve in whatever order: who alone brings a deletion does not have it done."""

import random
import subprocess
from pathlib import Path

import pytest

from tests.forge.scene import Scene
from tests.forge.test_brought import BROKEN, TWICE
from tests.forge.test_consent import EXTRA, FILES
from tests.forge.test_merges import LESS, gone, planned, settled
from tests.passes import cluster

pytestmark = pytest.mark.long
STEPS = 12
THEIRS = [LESS, BROKEN, TWICE]  # what bob brings
INNOCENT = [{"a.yaml": cluster("a", description=text)} for text in "xyz"]


class Two:
    """ada, who destroys nothing but what she then withdraws, and bob, who approves whatever he may."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.random = scene, random.Random(seed)
        self.open: list[int] = []

    def step(self) -> None:
        self.random.choice([self.pushes, self.opens, self.mends, self.withdraws, self.merges, self.says, self.looks])()
        if self.random.random() < 0.5:
            self.looks()

    def pushes(self) -> None:
        self.scene.work.commit(dict(self.random.choice(THEIRS)))
        if self.random.random() < 0.5:
            self.scene.admit()

    def opens(self) -> None:
        self.open.append(planned(self.scene, self.random.choice(THEIRS), author="bob"))

    def mends(self) -> None:
        """On what the branch has: bob's lines are in it where he brought some."""
        files = self.scene.work.git("ls-tree", "--name-only", "main").split()
        has = self.scene.work.git("show", "main:web.yaml") + "\n"
        mended = {"web.yaml": has.replace('"nonsense":1,', "")} if "nonsense" in has else self.random.choice(INNOCENT)
        gone = ("dup.yaml",) if "dup.yaml" in files else ()
        number = planned(self.scene, {} if gone else mended, gone=gone, author="ada")
        self.approve(number)
        self.open.append(number)

    def withdraws(self) -> None:
        number = planned(self.scene, self.random.choice([LESS, EXTRA]), author="ada")
        self.approve(number)
        self.scene.forge.state.close(number)

    def merges(self) -> None:
        if self.open:
            number, how = self.open.pop(self.random.randrange(len(self.open))), self.random.choice(["merge", "squash"])
            head = self.scene.forge.state.changes[number].head
            tried = ["git", "-C", str(self.scene.work.folder), "merge-tree", "--write-tree", "main", head]
            tree = subprocess.run(tried, capture_output=True, text=True, check=False)
            if tree.returncode or tree.stdout.strip() == self.scene.work.git("rev-parse", "main^{tree}"):
                self.scene.forge.state.close(number)  # it conflicts, or there is nothing to merge
            else:
                self.scene.merge(number, how, admitted=self.random.random() < 0.5)

    def says(self) -> None:
        """What is held, on any change request."""
        report, changes = self.scene.fleet.reporter.clusters.get("a"), [*self.scene.forge.state.changes]
        if report is not None and report.held is not None and report.held.consent and changes:
            self.scene.forge.state.say(self.random.choice(changes), "bob", f"/nidus approve {report.held.consent}")

    def approve(self, number: int) -> None:
        self.scene.forge.state.review(number, "bob")
        for one in self.scene.changes.open():
            if one.change.number == number and one.planned is not None and one.planned.consent.digest:
                self.scene.forge.state.say(number, "bob", f"/nidus approve {one.planned.consent.digest}")
                self.scene.look()

    def looks(self) -> None:
        if self.random.random() < 0.2:
            self.scene.restart()
        if self.random.random() < 0.5:
            self.scene.admit()
        settled(self.scene)


@pytest.mark.parametrize("seed", [3, 10, 14, 18, 20, 23])
def test_nobody_destroys_alone(tmp_path: Path, seed: int) -> None:
    scene = Scene(tmp_path, FILES)
    try:
        two = Two(scene, seed)
        for _ in range(STEPS):
            two.step()
            assert not gone(scene)
        scene.admit()
        for _ in range(3):
            settled(scene)
        assert not gone(scene)
    finally:
        scene.close()
