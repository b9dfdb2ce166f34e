"""One nested cluster in trouble costs the others nothing (F11, F41, H4)."""

import time

import pytest

from devhost import faults
from tests.host.field import Field, config_map, namespace, nested_cluster, profile
from tests.host.test_process_life import greeting, one_cluster

pytestmark = pytest.mark.host

LOOP = "{{- range $i := until 1000000 }}{{- range until 1000000 }}{{- end }}{{- end }}\n"


@pytest.mark.long
def test_one_nested_plane_away(own_field: Field) -> None:
    """Its cluster says so; the other gets its commit; once it is back, it follows by itself."""
    field = own_field
    away, fine = one_cluster(field, "a"), one_cluster(field, "b")
    field.push()
    field.start()
    field.wait(away, seconds=120)
    field.wait(fine, seconds=120)
    name = f"nested/vcluster-{away}/{away}/kube-apiserver"
    with faults.paused(field.account.hosted.host, name):
        one_cluster(field, text="two")
        commit = field.push("while one is away")
        field.wait_applied(fine, commit)
        assert greeting(field, fine) == "two"
        field.until("it says so", lambda: field.word(away) not in ("Ready", ""))
        assert commit not in field.status(away)["revision"].get("applied", "")
    field.wait_applied(away, commit, 120)
    assert greeting(field, away) == "two"


@pytest.mark.long
def test_a_chart_that_never_ends(shared_field: Field) -> None:
    """It costs its own cluster an error; the other is applied meanwhile, not after (H4)."""
    field = shared_field
    fine = one_cluster(field, "a")
    field.write("profiles/endless/Chart.yaml", "apiVersion: v2\nname: endless\nversion: 1.0.0\n")
    field.write("profiles/endless/templates/loop.yaml", LOOP)
    pack = {"name": "x", "helm": {"chart": {"path": "endless"}, "releaseName": "x"}, "namespace": "x"}
    field.write("profiles/bad.yaml", profile("bad", "1.0.0", [pack]))
    bad = field.cluster("bad")
    field.write("clusters/bad.yaml", nested_cluster(bad, profiles=[{"name": "bad", "version": "1.0.0"}]))
    began = time.monotonic()
    field.push()
    field.start()
    field.wait(fine)
    assert time.monotonic() - began < 25
    field.until("it is told", lambda: "Render" in str(field.status(bad)), 90)
    one_cluster(field, "a", text="two")
    commit = field.push("meanwhile")
    field.wait_applied(fine, commit)
    assert objects_of(field, fine)


def objects_of(field: Field, name: str) -> list[str]:
    return [str(entry.ref) for entry in field.entries(name)]


@pytest.mark.long
def test_an_engine_secret_turned_hostile(shared_field: Field) -> None:
    """A `vc-` Secret with another CA does nothing but an error, and its cluster alone is not Ready (M15, F41)."""
    field = shared_field
    hurt, fine = one_cluster(field, "a"), one_cluster(field, "b")
    field.push()
    field.start()
    field.wait(hurt)
    field.wait(fine)
    where = f"vcluster-{hurt}"
    secret = field.admin.get("v1", "Secret", f"vc-{hurt}", where)
    assert secret
    field.admin.patch("v1", "Secret", f"vc-{hurt}", where, {"data": {"certificate-authority": "bm9uc2Vuc2U="}})
    field.controller.kill()  # type: ignore[union-attr]
    field.start()
    objects = [namespace(), config_map("greeting", text="two")]
    field.write("profiles/web.yaml", profile("web", "1.0.0", [{"name": "web", "manifests": {"objects": objects}}]))
    commit = field.push("a change for both")
    field.wait_applied(fine, commit)
    field.until("it says so", lambda: field.word(hurt) not in ("Ready", ""))
    assert commit not in field.status(hurt)["revision"].get("applied", "")
    field.admin.patch(
        "v1",
        "Secret",
        f"vc-{hurt}",
        where,
        {"data": {"certificate-authority": secret["data"]["certificate-authority"]}},
    )
    field.wait_applied(hurt, commit, 120)
