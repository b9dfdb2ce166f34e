"""The controller's real parts on servers in memory: a cluster comes, stays, and goes."""

from collections.abc import Iterator

import pytest

from tests.shell import FILES, Shell, cluster


@pytest.fixture
def shell() -> Iterator[Shell]:
    made = Shell()
    yield made
    made.close()


def test_a_pushed_cluster_becomes_ready_and_stays_so_without_writes(shell: Shell) -> None:
    shell.push()
    shell.run()
    assert shell.word("team-a") == "Ready"
    assert shell.nested["team-a"].get("", "ConfigMap", "web", "config") is not None
    before = shell.writes()
    shell.once("team-a")
    assert shell.writes() == before


def test_a_restart_changes_nothing(shell: Shell) -> None:
    shell.push()
    shell.run()
    before = shell.host.get("", "Namespace", "", "vcluster-team-a")
    shell.restart()
    shell.push()
    shell.run()
    assert shell.word("team-a") == "Ready"
    assert shell.host.get("", "Namespace", "", "vcluster-team-a") == before


def test_two_clusters_have_a_server_each(shell: Shell) -> None:
    shell.push({**FILES, "clusters/team-b.yaml": cluster("team-b")})
    shell.run()
    assert [shell.word(name) for name in ("team-a", "team-b")] == ["Ready", "Ready"]
    assert sorted(shell.nested) == ["team-a", "team-b"]
