"""A control plane's volume grows on a real host: its claim, and nothing is replaced by it or by what follows (decision 0008)."""

import pytest

from tests.host.field import Field
from tests.host.promises import standing, write_cluster

pytestmark = [pytest.mark.host, pytest.mark.long]


def test_a_claim_grows_and_its_control_plane_is_the_same(shared_field: Field) -> None:
    field = shared_field
    name, _ = standing(field, "kept")
    home = f"vcluster-{name}"

    def live(api: str, kind: str, called: str) -> dict:  # type: ignore[type-arg]
        found = field.admin.get(api, kind, called, home)
        assert found is not None
        return found

    engine, claim = live("apps/v1", "StatefulSet", name), f"data-{name}-0"
    assert live("v1", "PersistentVolumeClaim", claim)["spec"]["resources"]["requests"]["storage"] == "5Gi"
    write_cluster(field, controlPlane={"store": {"size": "6Gi"}})
    commit = field.push("a larger volume")
    field.wait_applied(name, commit)
    field.until("the volume has it", lambda: field.status(name).get("storage") == {"asked": "6Gi"})
    assert live("v1", "PersistentVolumeClaim", claim)["status"]["capacity"]["storage"] == "6Gi"
    assert live("apps/v1", "StatefulSet", name)["metadata"]["uid"] == engine["metadata"]["uid"]
    assert "plan" not in field.status(name) or not field.status(name)["plan"].get("held")
