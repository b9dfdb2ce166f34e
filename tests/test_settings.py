"""The controller's settings: all mistakes of the file at once, flags that win, the environment read in one place."""

from pathlib import Path

import pytest

from reconciler import settings
from reconciler.engine.values import chart_of
from reconciler.errors import Stalled, UsageError
from reconciler.model import ClusterSpec, Metadata, NestedCluster

CONFIG = """\
apiVersion: nidus.dev/v1alpha1
kind: ControllerConfig
spec:
  sources: [{name: p, url: /srv/p.git}]
  engine: {versions: [{version: 0.36.1, chart: {path: CHART}}]}
  namespace: nidus-home
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "chart"
    folder.mkdir()
    (folder / "Chart.yaml").write_text("name: vcluster\nversion: 0.36.1\n")
    (folder / "values.yaml").write_text("a: 1\n")
    return folder


@pytest.fixture
def file(tmp_path: Path, chart: Path) -> Path:
    found = tmp_path / "nidus.yaml"
    found.write_text(CONFIG.replace("CHART", str(chart)))
    return found


def test_a_file_and_flags_that_win(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIDUS_SERVICE_ACCOUNT", raising=False)
    told = settings.load(str(file))
    assert (told.config.namespace, told.account) == ("nidus-home", "nidus-home:nidus")
    told = settings.load(
        str(file), namespace="other", kubeconfig="/k", repo="https://git.example.com/Team/My.Repo.git", branch="dev"
    )
    assert (told.config.namespace, told.account, told.config.host.kubeconfig) == ("other", "other:nidus", "/k")
    (source,) = told.config.sources
    assert (source.name, source.branch, source.path) == ("my-repo", "dev", ".")


def test_the_engine_chart_is_read_by_content(file: Path, chart: Path) -> None:
    (engine,) = settings.load(str(file)).engines
    assert [path for path, _ in engine.files] == ["Chart.yaml", "values.yaml"]
    (chart / "values.yaml").write_text("a: 2\n")
    assert settings.load(str(file)).engines[0].digest != engine.digest


@pytest.mark.parametrize("path", ["9" * 400, "a/" * 3000, "."])
def test_no_name_of_a_chart_is_a_crash(file: Path, chart: Path, path: str) -> None:
    file.write_text(CONFIG.replace("CHART", path))
    with pytest.raises(UsageError):
        settings.load(str(file))
    file.write_text(CONFIG.replace("CHART", str(chart)))
    (chart / "Chart.yaml").write_bytes(b"version: \xff\n")
    with pytest.raises(UsageError, match="cannot be read"):
        settings.load(str(file))


def test_a_chart_that_cannot_be_read_stalls_its_clusters_and_nobody_else(file: Path, chart: Path) -> None:
    """A link to nothing is an unreadable file for every account."""
    (chart / "helpers.tpl").symlink_to(chart / "nowhere")
    (chart / "..data").symlink_to(chart, target_is_directory=True)  # how a ConfigMap is mounted
    told = settings.load(str(file))
    (engine,) = told.engines
    assert (engine.problem, engine.files) == ("its chart cannot be read: helpers.tpl: No such file or directory", ())
    cluster = NestedCluster(api_version="x", kind="y", metadata=Metadata(name="a"), spec=ClusterSpec())
    with pytest.raises(Stalled, match=r"helpers\.tpl") as stalled:
        chart_of(cluster, told.rules)
    assert stalled.value.reason == "VersionWithdrawn"


def test_all_mistakes_at_once_with_their_place(file: Path) -> None:
    file.write_text(file.read_text() + "  workers: many\n  nonsense: 1\n")
    with pytest.raises(UsageError) as refused:
        settings.load(str(file))
    assert f"{file}:7:" in refused.value.message and f"{file}:8:" in refused.value.message


def test_mistakes_without_number_are_told_in_bounded_length(file: Path) -> None:
    file.write_text(file.read_text() + "".join(f"  nonsense{number}: 1\n" for number in range(1000)))
    with pytest.raises(UsageError) as refused:
        settings.load(str(file))
    assert refused.value.message.endswith("; and 980 more")
    with file.open("wb") as opened:
        opened.truncate(1 << 40)  # a file of holes
    with pytest.raises(UsageError, match="the limit is"):
        settings.load(str(file))


@pytest.mark.parametrize("text", ["", "a: [", "kind: NestedCluster\n", CONFIG + "---\n" + CONFIG])
def test_what_is_no_configuration(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        settings.load(str(file))
    assert str(file) in refused.value.message


def test_an_engine_that_is_not_there(file: Path, chart: Path) -> None:
    (chart / "Chart.yaml").write_text("name: vcluster\nversion: 0.30.0\n")
    with pytest.raises(UsageError, match=r"is 0\.30\.0"):
        settings.load(str(file))
    (chart / "Chart.yaml").unlink()
    with pytest.raises(UsageError, match=r"not a chart"):
        settings.load(str(file))


@pytest.mark.parametrize("count", ["3.0", "1e3"])
def test_an_integer_written_as_a_fraction_is_a_mistake(file: Path, count: str) -> None:
    file.write_text(file.read_text() + f"  deletion: {{budget: {{clusters: {count}}}}}\n")
    with pytest.raises(UsageError, match=r"nidus.yaml:7:\d+: Expected int"):
        settings.load(str(file))


def test_no_source_is_said() -> None:
    with pytest.raises(UsageError) as refused:
        settings.load("")
    assert "--repo" in refused.value.hint


# Files of credentials


KEYS = ("tokenFile", "caFile", "sshKeyFile", "knownHostsFile", "secretFiles", "keysFolder", "decryption")


def naming(file: Path, key: str, name: object, files: object = "") -> str:
    """The configuration, with this file of credentials; its path."""
    part = f"credentials: {{{key}: {name}}}"
    if key == "secretFiles":
        part = f"webhook: {{provider: github, secretFiles: [{name}]}}"
    if key in ("keysFolder", "decryption"):
        part = f"{'verify' if key == 'keysFolder' else key}: {{keysFolder: {name}}}"
    text = file.read_text().replace("url: /srv/p.git}", f"url: /srv/p.git, {part}}}")
    file.write_text(text + (f"  files: {files}\n" if files else ""))
    return str(file)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "name", ["/var/run/secrets/kubernetes.io/serviceaccount/token", "{below}/../../x", "{link}", "{loop}"]
)
def test_credentials_lie_below_one_folder(file: Path, tmp_path: Path, key: str, name: str) -> None:
    link, loop = tmp_path / "link", tmp_path / "loop"
    link.symlink_to("/etc/passwd")
    loop.symlink_to(loop)
    with pytest.raises(UsageError, match=key):
        settings.load(naming(file, key, name.format(below=tmp_path, link=link, loop=loop)))


@pytest.mark.parametrize("key", KEYS)
def test_a_mounted_secret_is_a_link_within_its_folder(file: Path, tmp_path: Path, key: str) -> None:
    (tmp_path / "git" / "..2026").mkdir(parents=True)
    (tmp_path / "git" / "..2026" / "token").write_text("t")
    (tmp_path / "git" / "..data").symlink_to("..2026")
    (tmp_path / "git" / "token").symlink_to("..data/token")
    assert settings.load(naming(file, key, tmp_path / "git" / "token")).config.sources
    assert settings.load(naming(file, key, "/etc/nidus/git/token")).config.sources


def test_the_folder_of_credentials_is_the_operators_to_name(file: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(UsageError, match="does not lie below"):
        settings.load(naming(file, "tokenFile", tmp_path / "token", tmp_path / "keys"))
    text = file.read_text().replace(str(tmp_path / "token"), str(tmp_path / "keys" / "token"))
    file.write_text(text)
    assert settings.load(str(file)).config.files == str(tmp_path / "keys")


def test_the_rules_know_whose_changes_are_approved_on_a_forge(file: Path, tmp_path: Path) -> None:
    """Trailers of its commits approve nothing."""
    (tmp_path / "token").write_text("t")
    forge = (
        f"forge: {{provider: gitea, api: 'https://forge.example.com', repository: a/p, tokenFile: {tmp_path}/token}}"
    )
    assert settings.load(str(file)).rules.forges == ()
    text = file.read_text().replace("url: /srv/p.git}", f"url: /srv/p.git, {forge}}}, {{name: q, url: /srv/q.git}}")
    file.write_text(text)
    assert settings.load(str(file)).rules.forges == ("p",)
