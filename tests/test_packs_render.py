"""Rendering a layer: both kinds, values, hooks, versions, caching, many threads at once."""

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Retry, Stalled
from reconciler.model import Layer, Target
from reconciler.packs import charthooks
from reconciler.packs.queue import Owner
from reconciler.packs.render import Renderer

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
ENGINE = Path(__file__).parent.parent / "devhost" / "chart"


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(2, seconds=20, cpu=10)
    yield made
    made.close()


class Repository:
    """Blobs by oid, where an oid is the content itself; counts what is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, oids: Collection[str]) -> dict[str, bytes]:
        self.reads += 1
        return {oid: oid.encode() for oid in oids}


def layer(kind: str, spec: Mapping[str, Any], files: Mapping[str, str] | None = None, **more: Any) -> Layer:
    pairs = tuple((files or {}).items())
    digest = repr((kind, spec, pairs, more))
    return Layer("p/a", Target("local", "a"), kind, spec, digest, pairs, **{"namespace": "web", **more})


def chart(templates: Mapping[str, str], spec: Mapping[str, Any] | None = None, **more: str) -> Layer:
    files = {"Chart.yaml": CHART, **{f"templates/{name}": text for name, text in templates.items()}}
    files |= {name.replace("__", "/").replace("_", "."): text for name, text in more.items()}
    return layer(
        "helm",
        {"chart": "charts/web", "release": "web", **(spec or {})},
        {f"charts/web/{k}": v for k, v in files.items()},
    )


def objects(renderer: Renderer, wanted: Layer, version: str = "v1.36.0") -> tuple[Any, ...]:
    return renderer.render(wanted, Repository().read, host_version=version)


def refusal(renderer: Renderer, wanted: Layer) -> Stalled:
    with pytest.raises(Stalled) as refused:
        objects(renderer, wanted)
    return refused.value


def test_manifests_from_profile_and_files(renderer: Renderer) -> None:
    inline = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}]
    found = objects(
        renderer, layer("manifests", {"objects": inline}, {"m.yaml": CONFIG % "a" + "---\n" + CONFIG % "b"})
    )
    assert [(o["kind"], o["metadata"]["name"]) for o in found] == [
        ("Namespace", "web"),
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
    ]


def test_every_kind_of_pack_leaves_out_what_it_excludes(renderer: Renderer) -> None:
    two, exclude = (
        CONFIG % "a" + "---\n" + CONFIG % "b",
        [{"group": "", "kind": "ConfigMap", "name": "a", "namespace": ""}],
    )
    plain, helm = (
        layer("manifests", {"exclude": exclude}, {"m.yaml": two}),
        chart({"a.yaml": two}, {"exclude": exclude}),
    )
    assert [[found["metadata"]["name"] for found in objects(renderer, one)] for one in (plain, helm)] == [["b"], ["b"]]
    refused = refusal(renderer, layer("manifests", {"exclude": exclude}, {"m.yaml": CONFIG % "b"}))
    assert refused.reason == "RenderFailed" and "no ConfigMap a" in refused.message


def test_what_the_operator_let_in_is_not_limited_again(renderer: Renderer) -> None:
    """Limits are the operator's, judged when the source is read; a worker had its own, which nobody could raise."""
    text = "---\n".join(CONFIG % f"c{number}" for number in range(201))
    assert len(objects(renderer, layer("manifests", {}, {"m.yaml": text}))) == 201


def test_whole_numbers_of_objects_go_as_far_as_those_of_kubernetes(renderer: Renderer) -> None:
    text = "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {maximum: 9223372036854775807, minimum: -9223372036854775808}\n"
    (found,) = objects(renderer, layer("manifests", {}, {"m.yaml": text}))
    assert found["spec"] == {"maximum": 2**63 - 1, "minimum": -(2**63)}
    beyond = refusal(renderer, layer("manifests", {}, {"m.yaml": text.replace("807", "809")}))
    assert beyond.message.startswith("m.yaml:4:17: ")
    wanted = chart({"a.yaml": CONFIG % "a"}, {"valuesFiles": ["v.yaml"]})  # Helm makes floats of all numbers
    files = {**dict(wanted.files), "v.yaml": "big: 9223372036854775807\n"}
    assert "v.yaml:1:6: " in refusal(renderer, layer("helm", wanted.spec, files)).message


def test_variables_are_filled_in_files(renderer: Renderer) -> None:
    text = CONFIG % '"${{ cluster.name }}-x"' + 'data: {count: "${{ variables.n }}"}\n'
    context = {"cluster": {"name": "a"}, "variables": {"n": 3}}
    (found,) = objects(renderer, layer("manifests", {}, {"m.yaml": text}, context=context))
    assert (found["metadata"]["name"], found["data"]["count"]) == ("a-x", 3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (CONFIG % "a" + "data:\n  k: ${{ variables.nosuch }}\n", "m.yaml:5: variables.nosuch"),
        (CONFIG % "a" + "data: {a: yes}\n", "m.yaml:4:11: "),
        (CONFIG % "a" + "data: *b\n", "m.yaml:4:7: "),
        ("kind: A\n", "m.yaml:1: has no apiVersion"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(renderer: Renderer, text: str, place: str) -> None:
    assert refusal(renderer, layer("manifests", {}, {"m.yaml": text}, context={"variables": {}})).message.startswith(
        place
    )


def test_values_in_helms_order(renderer: Renderer) -> None:
    template = CONFIG % "a" + "data: {{ .Values | toJson }}\n"
    spec = {
        "valuesFiles": ["v/one.yaml", "v/two.yaml"],
        "values": {"deep": {"profile": "p", "both": "p"}, "gone": None},
        "overrides": {"deep": {"both": "c"}, "list": [3]},
    }
    wanted = chart({"a.yaml": template}, spec, values_yaml="gone: 1\ndeep: {chart: c, file: c}\nlist: [1, 2]\n")
    files = (*wanted.files, ("v/one.yaml", "deep: {file: one, first: one}\n"), ("v/two.yaml", "deep: {file: two}\n"))
    (found,) = objects(renderer, layer("helm", wanted.spec, dict(files)))
    assert found["data"]["deep"] == {"chart": "c", "file": "two", "first": "one", "profile": "p", "both": "c"}
    assert found["data"]["list"] == [3] and "gone" not in found["data"]


def test_crds_first_notes_and_tests_never(renderer: Renderer) -> None:
    crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\n"
    check = "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: 'test, test-success'}}\n"
    found = objects(
        renderer, chart({"a.yaml": CONFIG % "a", "NOTES.txt": "{{ .Release.Name }}", "t.yaml": check}, crds__c_yaml=crd)
    )
    assert [o["metadata"]["name"] for o in found] == ["a.b.c", "a"]


def test_hooks_are_refused_with_a_list_or_left_out(renderer: Renderer) -> None:
    hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: 'pre-upgrade,pre-install'}}\n"
    refused = refusal(renderer, chart({"a.yaml": CONFIG % "a", "h.yaml": hook}))
    assert refused.reason == "HooksRefused" and "Job migrate (pre-install, pre-upgrade)" in refused.message
    (found,) = objects(renderer, chart({"a.yaml": CONFIG % "a", "h.yaml": hook}, {"hooks": "Ignore"}))
    assert found["metadata"]["name"] == "a"


def hooked(number: int, event: str) -> str:
    """A template of so many hooks."""
    notes = f"{{annotations: {{helm.sh/hook: {event}}}, name: h{{{{ $i }}}}}}"
    return f"{{{{ range $i := until {number} }}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {notes}\n{{{{ end }}}}\n"


def test_more_hooks_than_can_be_run_are_refused(renderer: Renderer) -> None:
    """What becomes of each is kept in the record of its cluster."""
    most, run = charthooks.MOST, {"hooks": "Run"}
    assert len(objects(renderer, chart({"h.yaml": hooked(most, "post-install")}, run))) == most
    many = {"a.yaml": CONFIG % "a", "h.yaml": hooked(most + 1, "post-install")}
    refused = refusal(renderer, chart(many, run))
    assert (refused.reason, f"has {most + 1} hooks" in refused.message) == ("HooksRefused", True)
    assert len(objects(renderer, chart(many, {"hooks": "Ignore"}))) == 1
    assert len(objects(renderer, chart({"a.yaml": CONFIG % "a", "h.yaml": hooked(most + 1, "test")}, run))) == 1


def test_a_random_chart_is_refused_every_time(renderer: Renderer) -> None:
    wanted = chart({"a.yaml": CONFIG % "{{ randAlpha 8 | lower }}"})
    for _ in range(2):
        assert refusal(renderer, wanted).reason == "NonDeterministicChart"


def test_random_values_in_what_is_not_kept_are_no_matter(renderer: Renderer) -> None:
    random = "data: {k: '{{ randAlpha 8 }}'}\n"
    check = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {helm.sh/hook: %s}}\n"
    templates = {
        "a.yaml": CONFIG % "a" + "# {{ randAlpha 8 }}\n",
        "NOTES.txt": "{{ randAlpha 8 }}",
        "t.yaml": check % ("t", "test") + random,
        "h.yaml": check % ("h-{{ randAlpha 8 | lower }}", "pre-install") + random,
    }
    (found,) = objects(renderer, chart(templates, {"hooks": "Ignore"}))
    assert found["metadata"]["name"] == "a"
    kept = chart({**templates, "b.yaml": CONFIG % "b" + random}, {"hooks": "Ignore"})
    told = refusal(renderer, kept)
    assert (told.reason, told.message) == (
        "NonDeterministicChart",
        "the chart renders differently every time: data.k of ConfigMap b in web/templates/b.yaml",
    )


def test_what_differs_between_renders_is_named_without_its_value(renderer: Renderer) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  admin: '{{ b64enc \"me\" }}'\n"
    secret += "  one: '{{ randAlpha 8 | b64enc }}'\n  two: '{{ randAlpha 8 | b64enc }}'\n"
    templates = {"s.yaml": secret, "n.yaml": CONFIG % "{{ randAlpha 8 | lower }}", "z.yaml": CONFIG % "z"}
    told = refusal(renderer, chart(templates))
    assert told.message == (
        "the chart renders differently every time: data.one and 1 more of Secret s in web/templates/s.yaml; "
        "the objects of web/templates/n.yaml"
    )
    assert "existingSecret" in told.hint


@pytest.mark.parametrize(
    ("constraint", "fits"), [(">=1.28.0-0", True), ("1.35.x || 1.36.x", True), ("<1.36", False), ("^2", False)]
)
def test_kube_version(renderer: Renderer, constraint: str, fits: bool) -> None:
    wanted = chart({"a.yaml": CONFIG % "a"}, Chart_yaml=f"{CHART}kubeVersion: '{constraint}'\n")
    if fits:
        assert objects(renderer, wanted)
    else:
        assert refusal(renderer, wanted).reason == "KubeVersionUnsupported"


def test_the_chart_sees_release_and_target(renderer: Renderer) -> None:
    template = CONFIG % "a" + "data: {ns: {{ .Release.Namespace }}, v: {{ .Capabilities.KubeVersion.Minor | quote }},"
    template += ' x: {{ .Capabilities.APIVersions.Has "x.io/v1" | quote }}, l: {{ len (lookup "v1" "Secret" "" "") | quote }}}\n'
    wanted = chart({"a.yaml": template})
    (found,) = renderer.render(wanted, Repository().read, host_version="v1.33.1", api_versions=("x.io/v1",))
    assert found["data"] == {"ns": "web", "v": "33", "x": "true", "l": "0"}
    (found,) = objects(renderer, wanted)
    assert (found["data"]["v"], found["data"]["x"]) == ("36", "false")


def test_subcharts_follow_their_condition_each_time(renderer: Renderer) -> None:
    more = {
        "Chart.yaml": f"{CHART}dependencies: [{{name: sub, version: 1.0.0, condition: sub.enabled}}]\n",
        "charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "charts/sub/templates/s.yaml": CONFIG % "s",
        "templates/a.yaml": CONFIG % "a",
    }
    files = {f"c/{path}": text for path, text in more.items()}
    for enabled, names in ((False, ["a"]), (True, ["s", "a"]), (False, ["a"])):
        spec = {"chart": "c", "release": "x", "values": {"sub": {"enabled": enabled}}}
        assert [o["metadata"]["name"] for o in objects(renderer, layer("helm", spec, files))] == names


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (
            f"{CHART}dependencies: [{{name: gone, version: 1.0.0, repository: 'https://charts.example'}}]\n",
            "ChartInvalid",
        ),
        (f"{CHART}type: library\n", "ChartInvalid"),
        ("name: web\n", "RenderFailed"),
        ("{{", "RenderFailed"),
    ],
)
def test_a_broken_chart_is_refused(renderer: Renderer, meta: str, reason: str) -> None:
    assert refusal(renderer, chart({"a.yaml": CONFIG % "a"}, Chart_yaml=meta)).reason == reason


def test_template_errors_name_the_template_not_our_folder(renderer: Renderer) -> None:
    refused = refusal(renderer, chart({"a.yaml": '{{ fail "no domain given" }}'}))
    assert "web/templates/a.yaml:1" in refused.message and "no domain given" in refused.message
    assert "/tmp" not in refused.message


def test_values_schema_of_the_chart_is_enforced(renderer: Renderer) -> None:
    wanted = chart({"a.yaml": CONFIG % "a"}, {"values": {"nosuch": 1}})
    schema = '{"type": "object", "additionalProperties": false}'
    refused = refusal(
        renderer, layer("helm", wanted.spec, {**dict(wanted.files), "charts/web/values.schema.json": schema})
    )
    assert "nosuch" in refused.message and "helm.values" in refused.hint


def test_two_templates_claiming_one_object_are_both_named(renderer: Renderer) -> None:
    refused = refusal(renderer, chart({"a.yaml": CONFIG % "a", "b.yaml": CONFIG % "a"}))
    assert refused.reason == "ObjectClaimedTwice"
    assert "web/templates/a.yaml" in refused.message and "web/templates/b.yaml" in refused.message


def test_the_engine_chart_with_the_versions_that_run(renderer: Renderer) -> None:
    files = {str(path.relative_to(ENGINE)): path.read_text() for path in sorted(ENGINE.rglob("*")) if path.is_file()}
    wanted = layer("helm", {"chart": "", "release": "team-a", "values": {}}, files, namespace="vcluster-team-a")
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects(renderer, wanted)}
    assert ("StatefulSet", "team-a") in found
    assert found["Service", "team-a"]["metadata"]["namespace"] == "vcluster-team-a"
    volumes = found["StatefulSet", "team-a"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tmp", "emptyDir": {}} in volumes


def test_a_kept_result_reads_nothing_and_is_not_shared(renderer: Renderer) -> None:
    repository = Repository()
    wanted = chart({"a.yaml": CONFIG % "kept"})
    first = renderer.render(wanted, repository.read, host_version="v1.36.0")
    first[0]["metadata"]["name"] = "changed"  # type: ignore[index]
    assert renderer.render(wanted, repository.read, host_version="v1.36.0")[0]["metadata"]["name"] == "kept"
    assert repository.reads == 1
    renderer.render(wanted, repository.read, host_version="v1.35.0")
    assert repository.reads == 2


def test_kept_results_are_bounded() -> None:
    small = Renderer(1, cache=300)
    try:
        repository = Repository()
        for name in ("a", "b", "c", "d", "a"):
            small.render(layer("manifests", {}, {"m.yaml": CONFIG % name}), repository.read, host_version="v1")
        assert repository.reads == 4
        big = layer("manifests", {"objects": [{"apiVersion": "v1", "kind": "A", "metadata": {"name": "x" * 400}}]})
        assert small.render(big, repository.read, host_version="v1")[0]["kind"] == "A"
    finally:
        small.close()


def test_many_threads_share_few_workers(renderer: Renderer) -> None:
    names: list[str] = []

    def run(number: int) -> None:
        for step in range(5):
            (found,) = objects(renderer, chart({"a.yaml": CONFIG % f"t{number}-{step}"}))
            names.append(found["metadata"]["name"])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(names) == sorted(f"t{number}-{step}" for number in range(8) for step in range(5))


def test_closed_means_later() -> None:
    closed = Renderer(1)
    closed.close()
    with pytest.raises(Retry):
        objects(closed, layer("manifests", {"objects": []}))


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
LABELS = {"pod-security.kubernetes.io/enforce": "privileged"}
FENCED = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": LABELS}}


def nested(found: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The object in lists of lists."""
    whole = dict(found)
    for _ in range(depth):
        whole = {"apiVersion": "v1", "kind": "List", "items": [whole]}
    return whole


@pytest.mark.parametrize("found", [SECRET, FENCED], ids=["secret", "label"])
@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_what_no_repository_may_say_is_refused_in_any_list(
    renderer: Renderer, found: dict[str, Any], depth: int
) -> None:
    wanted = layer("manifests", {"objects": [nested(found, depth)]})
    refused = refusal(renderer, wanted)
    assert refused.reason == "ObjectRefused" and "hunter2" not in refused.message


def test_a_kind_that_a_variable_hides_is_judged_when_it_is_filled_in(renderer: Renderer) -> None:
    text = "apiVersion: v1\nkind: ${{ variables.k }}\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
    refused = refusal(renderer, layer("manifests", {}, {"a.yaml": text}, context={"variables": {"k": "Secret"}}))
    assert refused.reason == "ObjectRefused"
    label = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns\n  labels: ${{ variables.l }}\n"
    refused = refusal(renderer, layer("manifests", {}, {"a.yaml": label}, context={"variables": {"l": LABELS}}))
    assert refused.reason == "ObjectRefused", refused.message


def test_what_the_engine_itself_writes_is_not_judged(renderer: Renderer) -> None:
    (found,) = objects(renderer, layer("manifests", {"objects": [FENCED]}, role="engine"))
    assert found == FENCED


def test_a_pass_whose_render_does_not_come_counts_as_none() -> None:
    """Before: clusters whose charts loop held every worker of the queue while they waited for their turn to render."""
    one = Renderer(1, seconds=3.0, cpu=60)
    endless = chart({"a.yaml": "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}"})

    def look(name: str) -> None:
        with contextlib.suppress(Stalled, Retry):
            one.render(endless, Repository().read, host_version="v1.36.0", owner=Owner("s", name))

    passes = [threading.Thread(target=look, args=(name,)) for name in ("renders", "waits")]
    for each in passes:
        each.start()
    try:
        while not (one.holds("renders") and one.holds("waits")):
            assert any(each.is_alive() for each in passes)
            threading.Event().wait(0.01)
        assert not one.holds("another")
    finally:
        one.close()
        for each in passes:
            each.join(30)
    assert not (one.holds("renders") or one.holds("waits"))
