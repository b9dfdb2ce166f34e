"""A machine that lacks something for a real node hears it in one sentence, and nothing is started or changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from devhost.errors import HostError
from devhost.node import needs
from devhost.node.needs import PLUGINS, PROGRAMS, lacking
from tests.devhost.conftest import Command


def machine(root: Path, without: tuple[str, ...] = ()) -> tuple[str, tuple[Path]]:
    """Make programs and network plugins below `root`; return the PATH that has the programs and the folders of plugins."""
    for folder, names in (("programs", PROGRAMS), ("plugins", PLUGINS)):
        (root / folder).mkdir()
        for name in set(names).difference(without):
            (root / folder / name).write_text("#!/bin/sh\n")
            (root / folder / name).chmod(0o755)
    return str(root / "programs"), (root / "plugins",)


def test_a_whole_machine_is_enough(tmp_path: Path) -> None:
    assert lacking(True, *machine(tmp_path)) == []


def test_one_missing_program_names_its_package(tmp_path: Path) -> None:
    assert lacking(True, *machine(tmp_path, ("runc",))) == ["the package runc"]


def test_each_package_is_named_once_after_root(tmp_path: Path) -> None:
    packages = ["the package containerd", "the package nftables", "the package containernetworking-plugins"]
    assert lacking(False, *machine(tmp_path, ("containerd", "ctr", "nft", "ptp"))) == ["root", *packages]


def test_a_folder_that_is_too_deep_for_sockets_is_said() -> None:
    needs.require_short(Path("/" + "a" * 73))
    with pytest.raises(HostError, match="has 1 characters too many"):
        needs.require_short(Path("/" + "a" * 74))


def test_command_says_it_and_makes_nothing(command: Command, tmp_path: Path) -> None:
    done = command("up", "--node", "real", PATH=str(tmp_path / "empty"))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("a real node needs ") and "the package containerd" in done.stderr
    assert (
        done.stderr.endswith("leave out `--node real`, everything else works without\n")
        and done.stderr.count("\n") == 1
        and list(tmp_path.iterdir()) == []
    )


def test_an_image_needs_a_host_with_a_real_node(command: Command, tmp_path: Path) -> None:
    done = command("image", "shop:1", "--from", tmp_path, "--dir", tmp_path / "host")
    assert done.returncode == 1
    assert (
        done.stderr == f"the host in {tmp_path / 'host'} has no real node: start it with `nidus host up --node real`\n"
    )
