"""One push on the embedded host, as its trace reaches a collector: every stage and every pass, one after another in one trace."""

from pathlib import Path

import pytest

from devhost.account import Account
from devhost.hosting import TestHost
from tests.collecting import about, collecting
from tests.host.field import opened
from tests.host.promises import standing, write_maps

pytestmark = pytest.mark.host


def test_a_push_is_followed_from_its_commit_to_ready(shared_host: TestHost, account: Account, tmp_path: Path) -> None:
    with collecting() as collector:
        field = opened(account, tmp_path / "stage", {"traces": {"endpoint": collector.url}})
        try:
            name, _ = standing(field, "one")
            write_maps(field, "one", "two")
            commit = field.push("two")
            field.wait_applied(name, commit)
            field.until(
                "its trace comes", lambda: any(commit in str(about(one)) for one in collector.spans()), seconds=90
            )
        finally:
            field.end()
    (root,) = [one for one in collector.spans() if commit in about(one).get("nidus.revision", "")]
    spans = [one for one in collector.spans() if one.trace_id == root.trace_id and one is not root]
    assert (root.name, about(root)["nidus.source"], root.status.code) == ("push", "platform", 0)
    assert {one.parent_span_id for one in spans} == {root.span_id}
    stages = [one for one in spans if not one.name.startswith("pass ")]
    assert [one.name for one in stages] == ["fetched", "validated", "admitted", "ready"]
    times = [stages[0].start_time_unix_nano, *(one.end_time_unix_nano for one in stages)]
    assert times == sorted(times) and times[:-1] == [one.start_time_unix_nano for one in stages]
    passes = [one for one in spans if one.name == f"pass {name}"]
    assert len(passes) + len(stages) == len(spans) and about(passes[-1])["nidus.status"] == "Ready"
    assert root.start_time_unix_nano == times[0] and all(
        root.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano <= root.end_time_unix_nano
        for one in spans
    )
