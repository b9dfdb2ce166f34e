"""The report of a pass that could not read or save: only what a human must end is Stalled (T1)."""

from reconciler.controller import briefs
from reconciler.errors import NidusError, Retry, Stalled
from reconciler.model import Revision


def said(error: NidusError) -> dict[str, tuple[str, str, str]]:
    report = briefs.failed("a", Revision("main", "c"), error)
    assert report.word == "Degraded"
    return {one.type: (one.status, one.reason, one.message) for one in report.conditions}


def test_what_passes_by_itself_is_not_stalled() -> None:
    found = said(Retry("the host did not answer", reason="Unreachable"))
    assert found["Ready"] == ("False", "Degraded", "Unreachable: the host did not answer")
    assert found["Stalled"] == ("False", "NotStalled", "")


def test_what_a_human_must_end_is_stalled_with_its_reason_and_what_to_do() -> None:
    found = said(Stalled("ConfigMap x cannot be read", reason="BadRecord", hint="restore it"))
    assert found["Ready"] == ("False", "Degraded", "BadRecord: ConfigMap x cannot be read; restore it")
    assert found["Stalled"] == ("True", "BadRecord", "ConfigMap x cannot be read; restore it")
