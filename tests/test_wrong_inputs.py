"""What people write wrongly, and the exact answer of the command: place, cause, and what to write instead."""

import re
from pathlib import Path

import pytest

from reconciler.__main__ import main
from reconciler.model import Limits, Variable
from reconciler.spec import config, near, values
from tests.spec_cases import CLUSTER, FILES, PROFILE, snapshot

C, P = "clusters/team-a.yaml", "profiles/web.yaml"
SOUND = "1 cluster and 1 profile sound, no mistakes"


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code, and what is printed without the quoted lines and their carets."""
    code = main(["validate", *words])
    return code, [line for line in capsys.readouterr().out.splitlines() if " | " not in line]


def spec(*lines: str) -> str:
    return "".join([CLUSTER.partition("spec:")[0], "spec:\n", *(f"  {line}\n" for line in lines)])


DURATION = "such as 30s, 5m, 1h30m or 2d"
SCALARS: dict[str, tuple[str, str, str]] = {  # line of a cluster's spec -> its column, message, fix
    "quota: {memory: 8GB}": ("19", "not a size", "write 8Gi or 8G"),
    "quota: {memory: 8 GiB}": ("19", "not a size", "write 8Gi"),
    "quota: {storage: 500mb}": ("20", "not a size", "write 500Mi or 500M"),
    "quota: {ephemeralStorage: lots}": ("29", "not a size", "such as 8Gi or 500M"),
    "quota: {memory: -1}": ("19", "not a size", "such as 8Gi or 500M"),
    "quota: {cpu: 4 cores}": ("16", "not an amount of CPU", "write 4"),
    "quota: {cpu: 500 m}": ("16", "not an amount of CPU", "write 500m"),
    "quota: {cpu: '0,5'}": ("16", "not an amount of CPU", "write 0.5"),
    "quota: {cpu: true}": ("16", "expected string or number, found boolean", "such as 2 or 500m"),
    "quota: {cpu: '1', extended: {cpu: 1000}}": (
        "37",
        "not the name of an extended resource: it has a domain",
        "such as nvidia.com/gpu",
    ),
    "quota: {pods: '5'}": ("17", "expected integer, found string", "write 5, without quotes"),
    "controlPlane: {store: {size: 5 gb}}": ("32", "not a size", "write 5Gi or 5G"),
    "controlPlane: {resources: {requests: {memory: 1GB}}}": ("49", "not a quantity", "write 1Gi or 1G"),
    "namespaces: [{name: web, quota: {memory: 1 tb}}]": ("44", "not a size", "write 1Ti or 1T"),
    "deletion: {grace: 1 hour}": ("21", "not a duration", "write 1h"),
    "deletion: {grace: 1 day}": ("21", "not a duration", "write 1d"),
    "deletion: {grace: 2 weeks}": ("21", "not a duration", "write 14d"),
    "deletion: {grace: 1 hour and 30 min}": ("21", "not a duration", "write 1h30m"),
    "deletion: {grace: 24}": ("21", "not a duration", "write 24s or 24m or 24h"),
    "deletion: {grace: PT1H}": ("21", "not a duration", DURATION),
    "deletion: {grace: 30m1h}": ("21", "not a duration", "write 1h30m"),
    "deletion: {grace: ''}": ("21", "not a duration", DURATION),
    "suspend: {reason: x, until: '2026-12-01'}": ("31", "not a time in UTC", "write 2026-12-01T00:00:00Z"),
    "suspend: {reason: x, until: '2026-12-01T02:00:00+02:00'}": (
        "31",
        "not a time in UTC",
        "write 2026-12-01T00:00:00Z",
    ),
    "suspend: {reason: x, until: tomorrow}": ("31", "not a time in UTC", "such as 2026-12-01T00:00:00Z"),
    "kubernetes: {version: 1.36}": ("25", "not a Kubernetes version", "write v1.36.0"),
    "kubernetes: {version: 1.30}": ("25", "not a Kubernetes version", "write v1.30.0"),
    'kubernetes: {version: "1.36"}': ("25", "not a Kubernetes version", "write v1.36.0"),
    "kubernetes: {version: 1.36.0}": ("25", "not a Kubernetes version", "write v1.36.0"),
    "kubernetes: {version: V1.36}": ("25", "not a Kubernetes version", "write v1.36.0"),
    "kubernetes: {version: latest}": ("25", "not a Kubernetes version", "such as v1.36.0"),
    "engine: {version: 0.36}": ("21", "not a version", "write 0.36.0"),
    "engine: {version: v0.36.1}": ("21", "not a version", "write 0.36.1"),
    "host: Local_1": ("9", "not a name: small letters, digits and - inside", "write local-1"),
    "namespaces: [{name: My Web}]": ("23", "not a name: small letters, digits and - inside", "write my-web"),
    "isolation: {ingressFrom: [{namespace: ingress_nginx}]}": (
        "41",
        "not a name: small letters, digits and - inside",
        "write ingress-nginx",
    ),
    "expose: {type: Ingress, host: 'https://A.example.com/'}": (
        "33",
        "not a DNS name: parts of small letters, digits and - inside, between dots",
        "write a.example.com",
    ),
    "expose: {type: LoadBalancer, sourceRanges: [10.0.0.1]}": ("47", "not a network", "write 10.0.0.1/32"),
    "expose: {type: loadbalancer}": (
        "18",
        "expected one of None, LoadBalancer, NodePort, Ingress, TLSRoute",
        "did you mean LoadBalancer?",
    ),
    "scheduling: {nodeSelector: {pool: my pool}}": (
        "37",
        "not a label's value: at most 63 letters, digits, -, _ and .",
        "write my-pool",
    ),
    "deletion: {protect: 'true'}": ("23", "expected boolean, found string", "write true, without quotes"),
}


@pytest.mark.parametrize("line", SCALARS)
def test_a_wrong_value_is_answered_with_what_to_write(
    line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here, {"a.yaml": spec(line)})
    column, message, fix = SCALARS[line]
    code, told = validated(capsys)
    assert code == 1
    assert [told[0].replace("NID124", "NID125"), told[1]] == [f"a.yaml:5:{column}: NID125 {message}", f"    fix: {fix}"]
    assert told[2:] == ["1 mistake in 1 file; 0 clusters and 0 profiles sound"]


@pytest.mark.parametrize(
    "line",
    [
        "quota: {cpu: 4, memory: 8589934592, storage: 1e9}",
        "quota: {cpu: 0.5}",
        "quota: {cpu: '1e3', memory: '100000000u'}",
        "controlPlane: {store: {size: 5368709120}, resources: {requests: {cpu: 1}, limits: {cpu: 1.5}}}",
        "namespaces: [{name: web, quota: {cpu: 2}}]",
    ],
)
def test_numbers_are_quantities_as_in_kubernetes(line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"a.yaml": spec(line)})
    assert validated(capsys) == (0, ["1 cluster and 0 profiles sound, no mistakes"])


def test_a_number_and_its_text_are_one_document() -> None:
    files = {"a.yaml": spec("quota: {cpu: 4, memory: 1.0}"), "b.yaml": spec('quota: {cpu: "4", memory: "1"}')}
    digests = [snapshot({path: text})[0].specs.clusters["team-a"].digest for path, text in files.items()]
    assert digests[0] == digests[1]


def test_a_variable_that_is_a_quantity_takes_a_number() -> None:
    variable = Variable(name="cpu", type="quantity", enum=("4", 8))
    assert [values.misfit(variable, one) for one in (4, "4", 8.0, "8")] == [""] * 4
    assert values.effective([variable], {"cpu": 4}) == {"cpu": "4"}


NAMES: dict[str, str] = {
    "Team_B": "write team-b",
    "team b.": "write team-b",
    "1team": "such as team-a",
    "тест": "such as team-a",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["NestedCluster", "ClusterProfile"])
def test_a_wrong_name_is_answered_with_one_that_fits(
    kind: str, name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        CLUSTER.replace("team-a,", f"{name},")
        if kind == "NestedCluster"
        else PROFILE.replace("{name: web}", f"{{name: {name}}}")
    )
    write(here, {"a.yaml": text})
    code, told = validated(capsys)
    if (kind, name) == ("ClusterProfile", "1team"):  # a profile's name may begin with a digit
        assert not any("not a name" in line for line in told)
        return
    assert code == 1
    assert told[:2] == [
        "a.yaml:3:18: NID125 not a name: small letters, digits and - inside",
        f"    fix: {NAMES[name]}",
    ]


NGINX = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: nginx}
spec:
  version: 1.0.0
  variables: [{name: team, default: a}]
  packs:
    - name: nginx
      manifests: {files: [nginx/*.yaml]}
    - name: more
      manifests:
        objects: [{kind: "${{ variables.taem }}", apiVersion: v1, metadata: {name: x}}]
"""
DOCUMENTS: dict[str, tuple[dict[str, str], list[str]]] = {  # files beside the sound ones -> what is told of them
    "another group": (
        {"b.yaml": CLUSTER.replace("nidus.dev/v1alpha1", "nidus.io/v1")},
        [
            "b.yaml:1:13: warning: kind NestedCluster but not ours, so it is not read: its apiVersion is not nidus.dev/v1alpha1",
            "    fix: write apiVersion: nidus.dev/v1alpha1",
            "1 cluster and 1 profile sound, 1 warning",
        ],
    ),
    "no group": (
        {"b.yaml": CLUSTER.replace("nidus.dev/v1alpha1", "v1")},
        [
            "b.yaml:1:13: warning: kind NestedCluster but not ours, so it is not read: its apiVersion is not nidus.dev/v1alpha1",
            "    fix: write apiVersion: nidus.dev/v1alpha1",
            "1 cluster and 1 profile sound, 1 warning",
        ],
    ),
    "apiversion": (
        {"b.yaml": PROFILE.replace("apiVersion", "apiversion")},
        [
            "b.yaml:2:7: warning: kind ClusterProfile but not ours, so it is not read: apiversion is written apiVersion",
            "    fix: write apiVersion: nidus.dev/v1alpha1",
            "1 cluster and 1 profile sound, 1 warning",
        ],
    ),
    "none": (
        {"b.yaml": CLUSTER.partition("\n")[2]},
        [
            "b.yaml:1:7: warning: kind NestedCluster but not ours, so it is not read: it has no apiVersion",
            "    fix: write apiVersion: nidus.dev/v1alpha1",
            "1 cluster and 1 profile sound, 1 warning",
        ],
    ),
    "another group in a second document": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,") + "---\n" + CLUSTER.replace("nidus.dev/v1alpha1", "nidus.io/v1")},
        [
            "b.yaml:9:13: warning: kind NestedCluster but not ours, so it is not read: its apiVersion is not nidus.dev/v1alpha1",
            "    fix: write apiVersion: nidus.dev/v1alpha1",
            "2 clusters and 1 profile sound, 1 warning",
        ],
    ),
    "the kind of another project": (
        {"b.yaml": PROFILE.replace("nidus.dev/v1alpha1", "config.projectsveltos.io/v1beta1")},
        [SOUND],
    ),
    "a version of ours that is none": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace("v1alpha1", "v1")},
        [
            "b.yaml:1:13: NID120 expected nidus.dev/v1alpha1",
            "    fix: write nidus.dev/v1alpha1",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a kind of ours that is none": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace("NestedCluster", "NestedClusters")},
        [
            "b.yaml:2:7: NID121 a kind this version does not know",
            "    fix: did you mean NestedCluster?",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a tab": (
        {"b.yaml": "apiVersion: nidus.dev/v1alpha1\nkind: NestedCluster\nmetadata:\n\tname: b\n"},
        [
            "b.yaml:4:1: NID110 not YAML: a tab where the line is indented",
            "    fix: use spaces",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a tab in a file of a pack": (
        {"profiles/web/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: b\n"},
        [
            "profiles/web/more.yaml:4:1: NID110 not YAML: a tab where the line is indented",
            "    fix: use spaces",
            "left out until that is mended: team-a",
            "1 mistake in 1 file; 0 clusters and 0 profiles sound",
        ],
    ),
    "a merge that was not finished": (
        {"b.yaml": CLUSTER.replace("spec:", "<<<<<<< HEAD\nspec:\n=======\nspec: {}\n>>>>>>> other")},
        [
            "b.yaml:4:1: NID110 a conflict marker of a merge (<<<<<<<)",
            "    fix: resolve the conflict and remove its markers",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a merge that was half finished": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,") + ">>>>>>> other\n"},
        [
            "b.yaml:8:1: NID110 a conflict marker of a merge (>>>>>>>)",
            "    fix: resolve the conflict and remove its markers",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a namespace": (
        {"b.yaml": CLUSTER.replace("{name: team-a,", "{name: b, namespace: x,")},
        [
            "b.yaml:3:21: NID122 unknown field namespace",
            "    fix: remove it: the controller derives the host namespace from the name",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "what kubectl get prints": (
        {"b.yaml": CLUSTER.replace("{name: team-a,", "{name: b, uid: x,") + "status: {}\n"},
        [
            "b.yaml:3:21: NID122 unknown field uid",
            "    fix: remove it: an API server writes it, people do not",
            "b.yaml:8:1: NID122 unknown field status",
            "    fix: remove it: what is known of a cluster stands on the host, not in Git",
            "2 mistakes in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a profile that is not there": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace("{name: web, version", "{name: wed, version")},
        [
            "b.yaml:7:14: NID140 no profile wed",
            "    fix: did you mean web?",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a profile of quite another name": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace("{name: web, version", "{name: database, version")},
        [
            "b.yaml:7:14: NID140 no profile database",
            "    fix: there are: web",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a name where a list of uses belongs": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").partition("  profiles:")[0] + "  profiles: web\n"},
        [
            "b.yaml:6:13: NID124 expected array, found string",
            "    fix: write a list: [{name: ..., version: ...}]",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a name where a use belongs": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").partition("  profiles:")[0] + "  profiles: [web]\n"},
        [
            "b.yaml:6:14: NID124 expected object, found string",
            "    fix: write its fields: {name: ..., version: ...}",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a list of namespaces that is none": (
        {"b.yaml": re.sub(r"namespaces: .*", "namespaces: apps", CLUSTER.replace("team-a,", "b,"))},
        [
            "b.yaml:5:15: NID124 expected array, found string",
            "    fix: write a list: [{name: ...}]",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "variables as a list": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace("{domain: a.example.com}", "[{name: domain, value: x}]")},
        [
            "b.yaml:7:37: NID124 expected object, found array",
            "    fix: write a mapping: {domain: ...}",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "variables as a mapping": (
        {
            "b.yaml": PROFILE.replace("{name: web}", "{name: b}").partition("  variables:")[0]
            + "  variables: {team: a, 'b c': {}}\n  packs: [{name: x, manifests: {files: [web/*.yaml]}}]\n"
        },
        [
            "b.yaml:6:3: NID124 expected array, found object",
            "    fix: write a list: [{name: team, ...}, {name: ..., ...}]",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a version of a profile that is a word": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace('"1.2.x"', "latest")},
        [
            "b.yaml:7:28: NID142 not a SemVer range such as 1.2.x or >=1.0 <2.0",
            "    fix: there are: 1.2.0",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a file named from the root of the repository, and a variable with a slip": (
        {"nginx/a.yaml": "", "profiles/n.yaml": NGINX},
        [
            "profiles/n.yaml:9:27: NID150 no file matches nginx/*.yaml",
            "    fix: did you mean ../nginx/*.yaml?",
            "profiles/n.yaml:12:26: NID149 the profile has no variable taem",
            "    fix: did you mean variables.team?",
            "2 mistakes in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a profile twice": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,") + CLUSTER.splitlines(keepends=True)[-1]},
        [
            "b.yaml:8:14: NID131 profile web is listed twice",
            "    fix: remove one of the two",
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a chart that is gone": (
        {"profiles/web.yaml": PROFILE.replace("../charts/front", "../charts/fornt")},
        [
            "profiles/web.yaml:16:23: NID158 there is no folder charts/fornt",
            "    fix: did you mean ../charts/front?",
            "left out until that is mended: team-a",
            "1 mistake in 1 file; 0 clusters and 0 profiles sound",
        ],
    ),
    "a version of a profile with two numbers": (
        {"profiles/web.yaml": PROFILE.replace("version: 1.2.0", "version: 1.20")},
        [
            "profiles/web.yaml:5:12: NID124 not a version",
            "    fix: write 1.20.0",
            "left out until that is mended: team-a",
            "1 mistake in 1 file; 0 clusters and 0 profiles sound",
        ],
    ),
    "a range that is a number": (
        {"b.yaml": CLUSTER.replace("team-a,", "b,").replace('"1.2.x"', "1.20")},
        [
            "b.yaml:7:28: NID124 expected string, found number",
            '    fix: write "1.20"',
            "1 mistake in 1 file; 1 cluster and 1 profile sound",
        ],
    ),
    "a variable with a dash": (
        {"profiles/web.yaml": PROFILE.replace("{name: zone,", "{name: time-zone,")},
        [
            "profiles/web.yaml:9:14: NID125 not a variable's name: letters, digits and _, no digit first",
            "    fix: write time_zone",
            "left out until that is mended: team-a",
            "1 mistake in 1 file; 0 clusters and 0 profiles sound",
        ],
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_wrong_document_is_answered(case: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, told = DOCUMENTS[case]
    write(here, {**FILES, **files})
    assert validated(capsys) == (1 if "mistake" in told[-1] and told != [SOUND] else 0, told)


def test_a_folder_without_documents_is_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fix = "    fix: name the folder with the documents; they begin with apiVersion: nidus.dev/v1alpha1"
    last = "0 clusters and 0 profiles sound, 1 warning"
    assert validated(capsys) == (0, ["warning: no document of ours in .: 0 YAML files read", fix, last])
    write(here, {"other/x.yaml": "a: 1\n"})
    told = ["warning: no document of ours in other: 1 YAML file read", fix, last]
    assert validated(capsys, "other") == (0, told)


def test_a_wrong_value_in_the_configuration_is_answered_alike(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "apiVersion: nidus.dev/v1alpha1\nkind: ControllerConfig\nspec:\n  sources: [{name: p, url: /p, interval: 5 min}]\n"
        "  engine: {versions: [{version: 0.36.1, chart: {path: /c}}], kubernetesVersions: [1.30]}\n  limits: {file: 1MB}\n"
    )
    write(here, {**FILES, "nidus.yaml": text})
    _, told = validated(capsys, "--config", "nidus.yaml")
    assert told[:6] == [
        "nidus.yaml:4:42: NID125 not a duration",
        "    fix: write 5m",
        "nidus.yaml:5:83: NID124 not a Kubernetes version",
        "    fix: write v1.30.0",
        "nidus.yaml:6:18: NID125 not a size",
        "    fix: write 1Mi or 1M",
    ]


def test_a_configuration_takes_numbers_as_quantities() -> None:
    text = (
        "apiVersion: nidus.dev/v1alpha1\nkind: ControllerConfig\nspec:\n  sources: [{name: p, url: /p}]\n"
        "  engine: {versions: [{version: 0.36.1, chart: {path: /c}}]}\n  limits: {file: 1048576}\n"
    )
    found, violations = config.read(text.encode(), "nidus.yaml")
    assert violations == () and found is not None and found.spec.limits.file == "1048576"


def test_a_file_that_is_no_yaml_is_not_warned_of() -> None:
    assert list(near.warnings("a.yaml", b"kind: NestedCluster\n\t- x", Limits())) == []
