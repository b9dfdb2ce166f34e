"""Who signed the head of a change request is said where people review it, where the source verifies commits (K14)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model import VerifyConfig
from tests.documents import cluster, config_map, pack, profile
from tests.forge.scene import Scene

FILES = {"a.yaml": cluster(), "web.yaml": profile(pack("base", config_map("one", colour="red")))}
BLUE = {"web.yaml": profile(pack("base", config_map("one", colour="blue")))}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, FILES)
    yield made
    made.close()


@pytest.fixture
def key(scene: Scene, tmp_path: Path) -> Path:
    """Of somebody whom the source trusts."""
    folder, made = tmp_path / "keys", tmp_path / "ada"
    folder.mkdir()
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@example.com", "-f", str(made)]
    subprocess.run(words, check=True)
    (folder / "team.sshpub").write_text(made.with_suffix(".pub").read_text())
    scene.verify = VerifyConfig(str(folder), "HEAD")
    scene.made()
    return made


def signed(scene: Scene, number: int, key: Path) -> None:
    """The author signs the head and pushes it."""
    scene.work.git("checkout", "-q", f"feature-{number}")
    words = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    scene.work.git(*words, "commit", "-q", "--amend", "--no-edit", "-S")
    head = scene.work.git("rev-parse", "HEAD")
    scene.work.git("checkout", "-q", "main")
    scene.place(number, head)
    scene.forge.state.pushed(number, head)


def test_the_comment_says_who_signed_or_what_is_wrong(scene: Scene, key: Path) -> None:
    number = scene.open(BLUE)
    scene.look()
    (one,) = scene.changes.open()
    assert one.planned is not None and "is not signed" in one.planned.unsigned
    assert "admits only commits that keys of its folder have signed: `commit " in scene.ours(number)
    signed(scene, number, key)
    scene.look()
    (one,) = scene.changes.open()
    assert one.planned is not None and (one.planned.signer, one.planned.unsigned) == ("ada@example.com", "")
    assert ", signed by `ada@example.com`, merged into" in scene.ours(number)
    assert "admits only" not in scene.ours(number)


def test_of_strangers_too(scene: Scene, key: Path) -> None:
    scene.forge.state.person("eve", "none")
    number = scene.open(BLUE, author="eve", fork_of="eve")
    scene.look()
    assert "nothing is planned" in scene.ours(number) and "admits only commits" in scene.ours(number)


def test_without_verify_nothing_is_said(scene: Scene) -> None:
    number = scene.open(BLUE)
    scene.look()
    assert "signed" not in scene.ours(number)
