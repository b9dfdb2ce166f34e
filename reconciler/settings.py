"""The controller's settings, from its configuration file, flags and the environment; frozen. The only reader of os.environ."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from reconciler.errors import UsageError
from reconciler.model import (
    ControllerSpec,
    EngineChart,
    EngineConfig,
    EngineVersion,
    HostConfig,
    HostFacts,
    Limits,
    Remote,
    Rules,
    SourceConfig,
    replace,
)
from reconciler.spec import config as configuration
from reconciler.spec import content as elsewhere
from reconciler.spec import semver, units

LARGEST = units.size(Limits().file)  # bytes of the configuration file
SHOWN = 20  # mistakes of it that are told: a running controller writes them into status objects and Events
CONTENT = "content"  # the store of content from elsewhere, below the data folder
FILES = Path("/etc/nidus")  # where deploy/chart mounts what is read


class Settings(Struct, frozen=True):
    """The settings of the process. `charts` holds the engine charts' files by oid; `inside` = running in a pod of the
    host; `again` reads them once more, None where no file holds them."""

    config: ControllerSpec
    engines: tuple[EngineChart, ...]
    charts: Mapping[str, bytes]
    data: Path
    identity: str
    inside: bool
    account: str
    again: "Again | None" = None

    @property
    def limits(self) -> Limits:
        return self.config.limits

    @property
    def rules(self) -> Rules:
        """What the operator decided."""
        return replace(configuration.rules(self.config), engines=self.engines)

    def facts(self, version: str) -> HostFacts:
        """What is known of the host, which runs Kubernetes `version`."""
        return replace(configuration.facts(self.config), version=version, account=self.account)


class Again(Struct, frozen=True):
    """How to read the settings once more: the file, and the flags that win over it."""

    file: str
    flags: Mapping[str, str]

    def load(self) -> Settings:
        """As `load`, with its errors."""
        return load(self.file, **self.flags)


def load(
    file: str,
    *,
    kubeconfig: str = "",
    context: str = "",
    namespace: str = "",
    repo: str = "",
    branch: str = "",
    path: str = "",
) -> Settings:
    """Settings from a file (may be "") and flags, which win. UsageError with position where the file is wrong."""
    spec = _read(Path(file)) if file else _bare(repo)
    if repo:
        source = SourceConfig(name=_source_name(repo), url=repo, branch=branch or "main", path=path or ".")
        spec = msgspec.structs.replace(spec, sources=(source,))
    if file:
        _check_files(spec, Path(file))
    if kubeconfig or context:
        spec = msgspec.structs.replace(spec, host=HostConfig(kubeconfig=kubeconfig, context=context))
    if namespace:
        spec = msgspec.structs.replace(spec, namespace=namespace)
    engines, charts = _engines(spec.engine)
    inside = "KUBERNETES_SERVICE_HOST" in os.environ and not spec.host.kubeconfig
    flags = {
        "kubeconfig": kubeconfig,
        "context": context,
        "namespace": namespace,
        "repo": repo,
        "branch": branch,
        "path": path,
    }
    again = Again(file, flags) if file else None
    return Settings(spec, engines, charts, _data_folder(), _identity(), inside, _account(spec.namespace), again)


def no_colour() -> bool:
    """Whether the user asked for no colours (no-color.org)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def environment(name: str, default: str = "") -> str:
    """One environment variable that is no setting of the controller (for the demo and the embedded host)."""
    return os.environ.get(name, default)


def content(file: Path) -> bytes:
    """The bytes of the configuration file, no more than shows that it is too large. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(LARGEST + 1)


def _read(file: Path) -> ControllerSpec:
    try:
        data = content(file)
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror or error}", hint="--config names the controller's configuration file"
        ) from error
    found, violations = configuration.read(data, str(file))
    if found is None:
        told = [f"{one.path}:{one.line}:{one.column}: {one.message}" for one in violations[:SHOWN]]
        more = f"; and {len(violations) - SHOWN} more" if len(violations) > SHOWN else ""
        raise UsageError("; ".join(told) + more, hint=violations[0].hint)
    return found.spec


def _check_files(spec: ControllerSpec, file: Path) -> None:
    """Refuse to read a credential anywhere on the machine: who may change the configuration must not send the pod's own token,
    or another's key, to a server of their choice. Links are followed, as mounted Secrets need it. Raises UsageError.
    """
    folders = [Path(spec.files)] if spec.files else [file.absolute().parent, FILES]
    allowed = [folder.resolve() for folder in folders]
    outside = [(key, name) for key, name in _named(spec) if not _below(name, allowed)]
    if outside:
        told = "; ".join(f"{key}: {name} does not lie below {' or '.join(map(str, folders))}" for key, name in outside)
        raise UsageError(told, hint="spec.files names the folder of credentials, keys and CA files")


def _named(spec: ControllerSpec) -> Iterator[tuple[str, str]]:
    """Every file of credentials that the configuration names, with the place that names it."""
    for source in spec.sources:
        given = source.credentials
        keys = {"tokenFile": given.token_file, "caFile": given.ca_file, "sshKeyFile": given.ssh_key_file}
        for key, name in {**keys, "knownHostsFile": given.known_hosts_file}.items():
            if name:
                yield f"source {source.name}: credentials.{key}", name
        forge = source.forge
        keys = {"tokenFile": forge.token_file, "caFile": forge.ca_file} if forge else {}
        keys |= {"app.keyFile": forge.app.key_file} if forge and forge.app else {}
        yield from ((f"source {source.name}: forge.{key}", name) for key, name in keys.items() if name)
        if source.verify:
            yield f"source {source.name}: verify.keysFolder", source.verify.keys_folder
        if source.decryption:
            yield f"source {source.name}: decryption.keysFolder", source.decryption.keys_folder
        for name in source.webhook.secret_files if source.webhook else ():
            yield f"source {source.name}: webhook.secretFiles", name
    for index, one in enumerate(spec.content.allow):
        keys = {"caFile": one.ca_file, "usernameFile": one.username_file, "passwordFile": one.password_file}
        keys |= {"proxyFile": one.proxy_file}
        yield from ((f"content.allow[{index}].{key}", name) for key, name in keys.items() if name)
    if spec.traces:
        keys = {"tokenFile": spec.traces.token_file, "caFile": spec.traces.ca_file}
        yield from ((f"traces.{key}", name) for key, name in keys.items() if name)
    for channel in spec.notify:
        keys = {"urlFile": channel.url_file, "secretFile": channel.secret_file, "caFile": channel.ca_file}
        yield from ((f"notify {channel.name}: {key}", name) for key, name in keys.items() if name)


def _below(name: str, folders: Sequence[Path]) -> bool:
    try:
        found = Path(name).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or no name of a file
        return False
    return any(folder in found.parents for folder in folders)


def _bare(repo: str) -> ControllerSpec:
    if not repo:
        raise UsageError("no source is configured", hint="--config FILE, or --repo URL|PATH for a quick start")
    engine = EngineConfig(versions=())
    chart = os.environ.get("NIDUS_ENGINE_CHART", "")
    if chart:
        from reconciler.model import EngineChartRef

        engine = EngineConfig(versions=(EngineVersion(version=_named_chart(chart), chart=EngineChartRef(path=chart)),))
    return ControllerSpec(sources=(), engine=engine)


def _named_chart(chart: str) -> str:
    """The version of the engine's chart that NIDUS_ENGINE_CHART names. Raises UsageError."""
    hint = "NIDUS_ENGINE_CHART names the folder of the engine's chart"
    if not (Path(chart) / "Chart.yaml").is_file():
        raise UsageError(f"NIDUS_ENGINE_CHART: {chart} is not a chart (no Chart.yaml)", hint=hint)
    version = _chart_version(Path(chart))
    if not semver.is_version(version):
        raise UsageError(f"NIDUS_ENGINE_CHART: {chart}/Chart.yaml: {version[:60]} is not a version", hint=hint)
    return version


def _chart_version(chart: Path) -> str:
    try:
        text = (chart / "Chart.yaml").read_text("utf-8")
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", "") or "it is not text"
        raise UsageError(f"{chart}/Chart.yaml cannot be read: {told}", hint="engine.versions[].chart.path") from None
    for line in text.splitlines():
        if line.startswith("version:"):
            return line.split(":", 1)[1].strip().strip("\"'")
    raise UsageError(f"{chart}/Chart.yaml names no version")


def _source_name(repo: str) -> str:
    stem = repo.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git").lower()
    return "".join(c if c.isalnum() else "-" for c in stem).strip("-") or "source"


def _engines(config: EngineConfig) -> tuple[tuple[EngineChart, ...], dict[str, bytes]]:
    charts: dict[str, bytes] = {}
    engines = [_engine(version, charts) for version in config.versions]
    return tuple(
        sorted(engines, key=lambda engine: [int(part) for part in engine.version.split("-")[0].split(".")])
    ), charts


def _engine(version: EngineVersion, charts: dict[str, bytes]) -> EngineChart:
    for remote in elsewhere.of_engine(version.chart, "", elsewhere.Elsewhere()):
        if isinstance(remote, Remote):  # mistakes were told when the configuration was read
            return EngineChart(version.version, remote.digest, ((str(remote), remote.oid),), version.image_digest)
    folder = Path(version.chart.path)
    if not _is_file(folder / "Chart.yaml"):
        raise UsageError(
            f"engine {version.version}: {folder} is not a chart (no Chart.yaml)", hint="engine.versions[].chart.path"
        )
    if _chart_version(folder) != version.version:
        raise UsageError(f"engine {version.version}: the chart in {folder} is {_chart_version(folder)}")
    try:
        contents = _contents(folder)
    except OSError as error:
        problem = (
            f"its chart cannot be read: {Path(str(error.filename or folder)).name}: {error.strerror or 'unreadable'}"
        )
        return EngineChart(version.version, "", (), version.image_digest, problem)
    charts.update((oid, content) for _, oid, content in contents)
    files = tuple((path, oid) for path, oid, _ in contents)
    digest = hashlib.sha256(msgspec.json.encode(files)).hexdigest()
    return EngineChart(version.version, digest, files, version.image_digest)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long for a name, or in a folder that may not be entered
        return False


def _contents(folder: Path) -> list[tuple[str, str, bytes]]:
    """(path, oid, content) of every file of a chart, sorted by path."""
    found = []
    for file in sorted(folder.rglob("*")):
        if not file.is_file() and (file.is_dir() or not file.is_symlink()):
            continue  # a broken link is a missing file and must not be left out
        content = file.read_bytes()
        found.append((file.relative_to(folder).as_posix(), "engine:" + hashlib.sha256(content).hexdigest(), content))
    return found


def content_folder() -> Path:
    """Where content from elsewhere is kept, by the controller and by commands."""
    return _data_folder() / CONTENT


def parsed_folder() -> Path:
    """Where commands keep what they read of the files of large repositories."""
    return _data_folder() / "parsed"


def rendered_folder() -> Path:
    """Where commands keep what they rendered of the engine's chart."""
    return _data_folder() / "rendered"


def _data_folder() -> Path:
    chosen = os.environ.get("NIDUS_DATA")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nidus"


def _identity() -> str:
    import socket

    return f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"


def _account(namespace: str) -> str:
    """The controller's own service account, NAMESPACE:NAME; the engine's RoleBindings name it (A9)."""
    return os.environ.get("NIDUS_SERVICE_ACCOUNT") or f"{namespace}:nidus"
