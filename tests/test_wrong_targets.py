"""Verbs that are given the wrong cluster, the wrong name or a broken environment: one sentence, what to do, nothing done."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import settings
from reconciler.__main__ import VERBS, main
from reconciler.errors import Stalled, Unavailable, UsageError
from reconciler.kube import kubeconfig
from reconciler.verbs import quick
from tests import shell
from tests.documents import cluster, config_map, pack, profile
from tests.installed import kinds
from tests.memory.http import Front
from tests.memory.server import Server
from tests.repository import CHART
from tests.test_source_mirror import Work

ROOT = Path(__file__).parents[1]
NAMESPACE = "nidus-system"
OURS = {"apiVersion": "nidus.dev/v1alpha1"}


def config(url: str, **user: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@pytest.fixture
def server() -> Server:
    made = Server()
    made.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return made


@pytest.fixture
def installed(server: Server) -> Server:
    for one in kinds():
        server.put(one)
    for kind, name, spec in (("Source", "platform", {}), ("NestedCluster", "team-b", {"source": "platform"})):
        server.put({**OURS, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
    return server


@pytest.fixture
def reached(server: Server, tmp_path: Path) -> Iterator[list[str]]:
    """The flags that reach the server."""
    with Front(server) as front:
        file = tmp_path / "kubeconfig"
        file.write_text(json.dumps(config(front.url, token="t")))
        yield ["--kubeconfig", str(file)]


def lead(server: Server, seconds: float) -> None:
    """A controller renewed its Lease so many seconds ago."""
    now = datetime.now(UTC)
    times = {
        name: (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for name in ("acquireTime", "renewTime")
    }
    spec = {"holderIdentity": "nidus-0", "leaseDurationSeconds": 15, **times}
    metadata = {"name": "nidus", "namespace": NAMESPACE}
    server.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})


def takes_a_name(verb: str) -> bool:
    """Whether its first word is a nested cluster."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"reconciler.verbs.{verb}").add_arguments(parser)
    return [one.dest for one in parser._actions if not one.option_strings][:1] == ["name"]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "team-b"],
        ["suspend", "x"],
        ["resume", "x"],
        ["approve", "0123456789abcdef" * 2],
        ["events"],
        ["connect", "x"],
        ["kubeconfig", "x"],
    ],
)
def test_a_cluster_without_nidus_is_named(
    words: list[str], reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = told(capsys, *words, *reached)
    assert (code, out) == (1, "")
    assert err.startswith("error: Nidus is not installed on this host cluster: it has no kind ")
    assert err.endswith("  hint: kubectl apply -f deploy/crds; or is --context another cluster?\n")


def test_a_plan_where_nidus_is_not_installed(
    reached: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(tmp_path / "work")
    work.commit({"a.yaml": cluster("a")})
    code, out, err = told(capsys, "plan", str(work.folder), *reached)
    assert (code, out) == (1, "")
    assert err.startswith("error: Nidus is not installed on this host cluster: it has no kind Request of nidus.dev\n")


@pytest.mark.parametrize(
    ("repo", "code", "message", "hint"),
    [
        ("nowhere", 64, "there is no folder {}/nowhere", "--repo names a folder or a URL"),
        ("plain", 64, "{}/plain is no Git repository that can be read", "nidus init DIR writes a first cluster"),
        ("empty", 1, "the branch main does not exist in {}/empty", "it has no commit: git add --all && git commit"),
        (
            "work/clusters",
            64,
            "{}/work/clusters is one folder of a repository",
            "nidus run --repo {}/work --path clusters",
        ),
        ("work --branch other", 1, "the branch other does not exist in {}/work", "--branch; there are: main"),
        ("work --path docs", 1, "no document of ours is committed in {}/work below docs, branch main", "git add --all"),
    ],
)
def test_a_repository_that_a_controller_would_wait_for_for_ever(
    repo: str, code: int, message: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain").mkdir()
    Work(tmp_path / "empty")
    Work(tmp_path / "work").commit({"clusters/a.yaml": cluster("a"), "docs/a.yaml": "a: b\n"})
    with Front(shell.installed(NAMESPACE)) as front:
        (tmp_path / "host").write_text(json.dumps(config(front.url, token="t")))
        flags = ["--kubeconfig", str(tmp_path / "host")]
        found, _, err = told(capsys, "run", "--repo", *f"{tmp_path}/{repo}".split(" "), *flags)
    assert found == code
    assert err.startswith(f"error: {message.format(tmp_path)}\n  hint: {hint.format(tmp_path)}")


def test_a_password_in_the_address_of_a_host_is_in_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host").write_text(json.dumps(config("http://ada:pa%2Fss@127.0.0.1:1/k8s", token="t")))
    code, out, err = told(capsys, "status", "--kubeconfig", str(tmp_path / "host"))
    assert code == 1 and "the API server http://127.0.0.1:1/k8s" in err
    assert "ada" not in out + err and "ss@" not in out + err


@pytest.mark.parametrize("path", ["/clusters", "clusters/", "./clusters", "/", ""])
def test_a_path_is_read_as_everywhere_else(path: str, tmp_path: Path) -> None:
    """No host is asked: there are documents. What git cannot read is not taken for a repository without any."""
    Work(tmp_path / "work").commit({"clusters/a.yaml": cluster("a")})
    asked = settings.load("", repo=str(tmp_path / "work"), path=path, kubeconfig=str(tmp_path / "nowhere"))
    quick.check(asked)
    blob = subprocess.run(
        ["git", "rev-parse", "HEAD:clusters"], cwd=tmp_path / "work", capture_output=True, text=True, check=True
    ).stdout.strip()
    (tmp_path / "work/.git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Unavailable, match="git grep failed in "):
        quick.check(asked)


def test_a_quick_start_shows_the_dashboard_to_this_machine_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = settings.load("", repo=str(tmp_path))
    assert ready.config.server.dashboard is None
    shown = quick.shown(ready, 9294).config.server.dashboard
    assert shown is not None and (shown.address, shown.auth) == ("127.0.0.1:9294", "none")
    with pytest.raises(UsageError, match="--dashboard 70000: no port"):
        quick.shown(ready, 70000)


def test_a_repository_without_documents_may_be_a_removal(tmp_path: Path) -> None:
    Work(tmp_path / "work").commit({"a.txt": "a"})
    server = shell.installed(NAMESPACE)
    with Front(server) as front:
        (tmp_path / "host").write_text(json.dumps(config(front.url, token="t")))
        ready = settings.load("", repo=str(tmp_path / "work"), kubeconfig=str(tmp_path / "host"))
        with pytest.raises(Stalled, match="no document of ours is committed in "):
            quick.check(ready)
        server.put(
            {
                "apiVersion": "nidus.dev/v1alpha1",
                "kind": "NestedCluster",
                "metadata": {"name": "a", "namespace": NAMESPACE},
            }
        )
        quick.check(ready)


@pytest.mark.xdist_group("the port of a controller without a configuration")
@pytest.mark.parametrize("engine", [True, False])
def test_a_controller_where_nidus_is_not_installed(
    engine: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine:
        monkeypatch.setenv("NIDUS_ENGINE_CHART", str(ROOT / "devhost" / "chart"))
    Work(tmp_path / "work").commit({"a.yaml": cluster("a")})
    with Front(Server()) as front:
        (tmp_path / "host").write_text(json.dumps(config(front.url, token="t")))
        done = nidus("run", "--repo", str(tmp_path / "work"), "--kubeconfig", str(tmp_path / "host"))
    assert done.returncode == 1
    assert "error: Nidus is not installed on this host cluster: namespaces " in done.stderr
    assert done.stderr.endswith(
        "  hint: kubectl apply -f deploy/crds -f deploy/rbac.yaml; or is --context another cluster?\n"
    )
    assert ("note: no nested cluster can be made: spec.engine of --config" in done.stderr) is not engine


def test_a_namespace_with_nothing_in_it(
    installed: Server, reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "status", "-n", "nowhere", *reached) == (
        1,
        "",
        "error: nothing here: namespace nowhere has no source, no nested cluster and no controller\n"
        "  hint: is Nidus installed here? -n and --context name another namespace or cluster\n",
    )


OTHER: dict[str, list[str]] = {
    "new": [],
    "render": [],
    "host": [],
    "disconnect": [],
    "sync": [],
}  # their NAME is of a folder, a file, an image
MORE: dict[str, list[str]] = {"restore": ["20261127T020000-1a2b3c4"], "rotate": ["web/app"], "extend": ["--for", "1h"]}
NAMED = [verb for verb in VERBS if verb not in OTHER and takes_a_name(verb)]


def test_the_verbs_that_take_the_name_of_a_nested_cluster() -> None:
    assert {"status", "why", "wait", "restore", "sleep", "workloads", "history", "upgrade"} <= {*NAMED}


@pytest.mark.parametrize("verb", NAMED)
def test_an_unknown_nested_cluster_is_refused(
    verb: str, installed: Server, reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = MORE.get(verb, [])
    message = f"error: no nested cluster team-x in namespace {NAMESPACE}\n"
    assert told(capsys, verb, "team-x", *more, *reached) == (1, "", f"{message}  hint: did you mean team-b?\n")
    message = f"error: no nested cluster nope in namespace {NAMESPACE}\n"
    assert told(capsys, verb, "nope", *more, *reached) == (1, "", f"{message}  hint: there are: team-b\n")
    assert installed.objects("nidus.dev", "Request") == []


UNKNOWN: dict[str, tuple[str, str]] = {
    "restore team-b 20261127T020000-1a2b3c4": (
        "team-b has no whole snapshot 20261127T020000-1a2b3c4",
        "nidus backup team-b makes one",
    ),
    "rotate team-b web/app": ("team-b has no pack web/app", "there is none"),
    "plan WORK --config FILE --source platfrom": ("FILE has no source platfrom", "did you mean platform?"),
    "render team-a --folder WORK --config FILE --source platfrom": (
        "FILE has no source platfrom",
        "did you mean platform?",
    ),
    "render team-x --folder WORK": ("no sound nested cluster team-x in this folder", "did you mean team-a?"),
    "render team-a web/nothing --folder WORK": ("team-a has no layer web/nothing", "its layers are"),
    "new cluster team-c --folder WORK --profile wbe": ("no profile wbe in this folder", "did you mean web?"),
    "new cluster team-c --folder WORK --profile web@9": ("no profile web@9 in this folder", "its versions: 1.0.0"),
    "new cluster team-c --folder WORK --profile web --set siez=1": ("no profile has the variable siez", "did you mean size?"),
    "plan WORK team-x": ("no cluster team-x", "did you mean team-a?"),
    "sync platfrom": ("no source and no nested cluster platfrom", "did you mean platform?"),
}  # fmt: skip


@pytest.mark.parametrize("line", UNKNOWN)
def test_a_name_that_nothing_has_is_a_failure_and_no_wrong_usage(
    line: str, installed: Server, reached: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lead(installed, 0.0)
    work, file = Work(tmp_path / "work"), tmp_path / "nidus.yaml"
    variables = [{"name": "size", "default": "1"}]
    body = json.loads(profile(pack("base", config_map("x"))))
    body["spec"]["variables"] = variables
    work.commit({"a.yaml": cluster("team-a"), "web.yaml": json.dumps(body)})
    sources = [{"name": "platform", "url": str(work.folder)}]
    spec = {
        "sources": sources,
        "files": str(CHART),
        "engine": {"versions": [{"version": "0.36.1", "chart": {"path": str(CHART)}}]},
    }
    file.write_text(json.dumps({**OURS, "kind": "ControllerConfig", "spec": spec}))
    words = [{"WORK": str(work.folder), "FILE": str(file)}.get(word, word) for word in line.split()]
    code, _, err = told(capsys, *words, *(reached if words[0] not in ("render", "new") else []))
    message, hint = (text.replace("FILE", str(file)) for text in UNKNOWN[line])
    assert code == 1 and err.startswith(f"error: {message}") and f"  hint: {hint}" in err, (code, err)
    assert installed.objects("nidus.dev", "Request") == []


def test_a_digest_of_nothing_is_refused(
    installed: Server, reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "approve", "0123456789abcdef" * 2, *reached) == (
        1,
        "",
        f"error: nothing held has the digest {'0123456789abcdef' * 2}\n  hint: nothing is held\n",
    )


@pytest.mark.parametrize(("seconds", "alive"), [(0.0, True), (3600.0, False)])
def test_what_no_controller_will_do_is_said(
    seconds: float, alive: bool, installed: Server, reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lead(installed, seconds)
    code, out, err = told(capsys, "suspend", "team-b", *reached)
    assert (code, out) == (0, "nested cluster team-b is suspended; nidus resume team-b ends it\n")
    assert ("note: no controller is alive: nidus-0 was last seen" in err) is not alive
    assert told(capsys, "resume", "team-b", *reached)[0] == 0


def test_sync_takes_a_source_or_a_nested_cluster(
    installed: Server, reached: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lead(installed, 0.0)
    done = "the controller is told to sync\n"
    assert told(capsys, "sync", *reached) == (0, f"source platform: {done}", "")
    assert told(capsys, "sync", "platform", *reached) == (0, f"source platform: {done}", "")
    assert told(capsys, "sync", "team-b", *reached) == (0, f"source platform of nested cluster team-b: {done}", "")
    message = "error: no source and no nested cluster platfrom\n  hint: did you mean platform?\n"
    assert told(capsys, "sync", "platfrom", *reached) == (1, "", message)


def test_a_plan_needs_commits(
    installed: Server, reached: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = told(capsys, "plan", str(tmp_path), *reached)
    assert (code, out) == (64, "")
    assert err == (
        f"error: no commit of {tmp_path} can be read: it is in no Git repository, in one without a commit, or in one of "
        "another user\n  hint: a plan compares with the commits that were accepted: nidus plan WORK_TREE\n"
    )


GARBAGE: dict[str, tuple[bytes, str]] = {
    "not yaml": (b"a: [\n", "not YAML, line 2"),
    "bytes": (b"\xff\xfe\x00", "not YAML"),
    "text": (b"hello", "it is no mapping"),
    "empty": (b"", "it is no mapping"),
    "a list": (b"[]", "it is no mapping"),
    "users that are a text": (b"users: hello", "users is no list of names, each with a user"),
    "contexts without names": (b"contexts: [{context: {}}]", "contexts is no list of names, each with a context"),
    "clusters that are numbers": (
        b"clusters: [{name: c, cluster: 5}]",
        "clusters is no list of names, each with a cluster",
    ),
    "deep": (b"a: " + b"[" * 20000, "not YAML"),
}


@pytest.mark.parametrize("case", GARBAGE)
@pytest.mark.parametrize("by", ["KUBECONFIG", "--kubeconfig"])
def test_a_kubeconfig_that_is_none_is_named(case: str, by: str, tmp_path: Path) -> None:
    data, why = GARBAGE[case]
    file = tmp_path / "kubeconfig"
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        kubeconfig.chosen(str(file), "", by)
    assert refused.value.message.startswith(f"{file}, which {by} names, is no kubeconfig: {why}")


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config("http://127.0.0.1:1", token="t")))
    with pytest.raises(UsageError) as refused:
        kubeconfig.chosen(str(file), "y", "--kubeconfig")
    assert refused.value.told == f"no context y in {file}, which --kubeconfig names; there are: x"


def test_a_kubeconfig_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    done = nidus("status", KUBECONFIG=f"{tmp_path}/a:{tmp_path}/b")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(f"error: KUBECONFIG names {tmp_path}/a and {tmp_path}/b, which is not there\n")
    (tmp_path / "a").write_text("- hello\n")
    done = nidus("status", KUBECONFIG=f"{tmp_path}/a:{tmp_path}/b")
    assert done.returncode == 64 and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"error: {tmp_path}/a, which KUBECONFIG names, is no kubeconfig: it is no mapping\n")


def test_where_nothing_names_a_kubeconfig_that_is_said(tmp_path: Path) -> None:
    done = nidus("status", HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(
        "error: no kubeconfig: KUBECONFIG is not set, and ~/.kube/config is not there\n  hint: export "
    )


def nidus(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"} | environment
    command = [sys.executable, "-m", "reconciler", *words]
    return subprocess.run(command, env=whole, capture_output=True, text=True, timeout=60, check=False)


USERS: dict[str, tuple[dict[str, Any], str]] = {
    "a plugin that is not there": (
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "no-such-plugin",
                "installHint": "ask Ann",
            }
        },
        "error: the exec plugin no-such-plugin of user u in {file} is not there\n  hint: ask Ann\n",
    ),
    "a plugin that fails": (
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}},
        "error: no credentials came from user u in {file}: nothing is asked as nobody\n",
    ),
    "a certificate that is not there": ({"client-certificate": "/nope", "client-key": "/nope"}, "/nope"),
    "a token file that is not there": ({"tokenFile": "/nope"}, "/nope"),
}


@pytest.mark.parametrize("case", USERS)
def test_nothing_is_asked_as_nobody(case: str, installed: Server, tmp_path: Path) -> None:
    user, message = USERS[case]
    file = tmp_path / "kubeconfig"
    with Front(installed) as front:
        url = front.url.replace("http:", "https:") if "client-certificate" in user else front.url
        file.write_text(json.dumps(config(url, **user)))
        done = nidus("status", "--kubeconfig", str(file))
    assert (done.returncode, done.stdout) == (64, "")
    assert message.format(file=file) in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("chart", "why"),
    [
        (None, "is not a chart (no Chart.yaml)"),
        ("name: x\n", "Chart.yaml names no version"),
        ("version: latest\n", "latest is not a version"),
        ("version: \xff", "cannot be read"),
    ],
)
def test_a_chart_in_the_environment_that_is_none_is_named(
    chart: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIDUS_ENGINE_CHART", str(tmp_path))
    if chart is not None:
        (tmp_path / "Chart.yaml").write_bytes(chart.encode("latin-1"))
    with pytest.raises(UsageError, match=str(tmp_path)) as refused:
        settings.load("", repo="/srv/x")
    assert why in refused.value.message
