"""A render worker reaches no network and Helm opens nothing that a chart names (H4): real sockets, real workers, uid 65532."""

import atexit
import contextlib
import functools
import gzip
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from reconciler.errors import NidusError, Stalled
from reconciler.model import Layer, Target
from reconciler.packs.render import Renderer
from tests import installed
from tests.memory.http import Front
from tests.memory.server import Server

CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
ROOT = Path(__file__).parents[2]
OUTER = """
import ctypes, struct, sys
step = lambda code, value, yes=0, no=0: struct.pack("<HBBI", code, yes, no, value)
numbers = {"x86_64": (272, 317, 157), "aarch64": (97, 277, 167)}[__import__("os").uname().machine]
unshare, seccomp, prctl = numbers
deny = step(6, 0x50001)
code = step(0x20, 0) + step(0x15, unshare, 0, 1) + deny
if "filters" in DENIED:
    code += step(0x15, seccomp, 0, 1) + deny
    code += step(0x15, prctl, 0, 3) + step(0x20, 16) + step(0x15, 22, 0, 1) + deny
code += step(6, 0x7FFF0000)
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))
libc = ctypes.CDLL(None)
zero = ctypes.c_ulong(0)
assert libc.prctl(38, ctypes.c_ulong(1), zero, zero, zero) == 0
assert libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(Program(len(code) // 8, code)), zero, zero) == 0
assert libc.unshare(0x10000000) == -1
"""
"""What a container's profile does: `unshare` answers EPERM, and where DENIED says so the making of filters too."""

REACH = """
import ctypes, json, os, socket, sys
from reconciler.packs import confine
uid = os.getuid()
held = confine.leave_network() if sys.argv[2] == "confined" else ()
capabilities = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapPrm")][0]
from helm_python import Chart
def reach(address):
    try:
        socket.create_connection(address, 2).close()
        return "reached"
    except OSError as error:
        return type(error).__name__
def family(number):
    try:
        socket.socket(number, socket.SOCK_DGRAM).close()
        return "made"
    except OSError as error:
        return type(error).__name__
def helm(folder):
    try:
        with Chart.load(folder) as chart:
            chart.render({}, name="a")
        return "rendered"
    except Exception as error:
        return str(error)
found = {"held": held, "uid": uid, "capabilities": capabilities}
found["loopback"] = reach(("127.0.0.1", int(sys.argv[1])))
found["metadata"] = reach(("169.254.169.254", 80))
found["families"] = {str(number): family(number) for number in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)}
found["unix"] = family(socket.AF_UNIX)
found["ring"] = ctypes.CDLL(None, use_errno=True).syscall(425, 1, ctypes.create_string_buffer(256))
found["helm"] = helm(sys.argv[3])
print(json.dumps(found))
"""


class Listener:
    """A listener on loopback that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                made, _ = self.socket.accept()
                self.count += 1
                made.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


def chart(folder: Path, schema: object) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "templates" / "a.yaml").write_text(CONFIG)
    (folder / "values.schema.json").write_text(json.dumps(schema))
    return folder


STRANGER = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")


@functools.cache
def interpreter() -> str:
    """A Python of this version with this one's packages that uid 65532 may run: this one may lie in somebody's home."""
    for found in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        if subprocess.run([*STRANGER, "sh", "-c", f"exec {found} -c ''"], capture_output=True, cwd="/").returncode == 0:
            break
    else:
        pytest.skip("no Python that another user may run")
    if found == sys.executable:
        return found
    home = Path(tempfile.mkdtemp(prefix="nidus-test-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    subprocess.run([found, "-m", "venv", "--without-pip", "--symlinks", str(home)], check=True, cwd="/")
    (packages,) = home.glob("lib/*/site-packages")
    (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    home.chmod(0o755)
    return str(home / "bin" / "python")


def as_stranger(script: str, *arguments: str, denied: str = "") -> str:
    """What the script prints as uid 65532 without capabilities and, where `denied` says so, without `unshare` (and filters)."""
    outer = f"DENIED = {denied!r}\n{OUTER}\n" if denied else ""
    done = subprocess.run(
        [*STRANGER, interpreter(), "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{outer}{script}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={"TMPDIR": "/tmp", "HOME": "/"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter; each run of pytest closes the one that `tmp_path` is in."""
    with tempfile.TemporaryDirectory(prefix="nidus-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")


@root
@pytest.mark.parametrize("denied", ["", "namespaces"])
def test_a_confined_process_reaches_nothing(listener: Listener, public: Path, denied: str) -> None:
    folder = chart(public / "c", {"$ref": f"http://127.0.0.1:{listener.port}/x"})
    open_to_all = json.loads(as_stranger(REACH, str(listener.port), "open", str(folder), denied=denied))
    assert open_to_all["loopback"] == "reached" and listener.count >= 2, open_to_all  # ours, and Helm's
    before = listener.count
    found = json.loads(as_stranger(REACH, str(listener.port), "confined", str(folder), denied=denied))
    assert listener.count == before
    assert found["uid"] == 65532
    assert found["loopback"] != "reached" and found["metadata"] != "reached"
    assert set(found["families"].values()) == {"PermissionError"} and found["unix"] == "made"
    assert found["ring"] == -1
    assert "failing loading" in found["helm"]
    if denied:
        assert found["held"] == ["system-call filter"] and found["capabilities"].strip("0") == ""


RENDER = """
from reconciler.errors import Stalled
from reconciler.model import Layer, Target
from reconciler.packs.render import Renderer
strict, lax = Renderer(1), Renderer(1, confined=False)
layer = Layer("p/a", Target("local", "a"), "manifests", {"objects": []}, "d", ())
try:
    strict.render(layer, lambda oids: {}, host_version="v1.36.0")
    print("rendered", strict.confinement())
except Stalled as error:
    print(error.reason, "|", error.message, "|", error.hint)
print(lax.render(layer, lambda oids: {}, host_version="v1.36.0"), lax.confinement())
strict.close(); lax.close()
"""


@root
def test_the_controller_refuses_to_render_where_nothing_confines() -> None:
    first, second = as_stranger(RENDER, denied="namespaces filters").splitlines()
    reason, message, hint = first.split(" | ")
    assert reason == "RenderNotConfined" and "network" in message and "seccomp" in hint
    assert second == "() ()"


@root
def test_a_filter_alone_is_enough_to_render() -> None:
    first, _ = as_stranger(RENDER, denied="namespaces").splitlines()
    assert first == "rendered ('system-call filter',)"


PLAN = """
import subprocess, sys
git = ["git", "-C", sys.argv[1], "-c", "user.name=x", "-c", "user.email=x@example.com"]
subprocess.run([*git, "init", "--quiet"], check=True)
subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "x"], check=True)
from reconciler.__main__ import main
sys.stderr = sys.stdout
print("exit code", main(["plan", *sys.argv[1:]]))
"""


@root
@pytest.mark.parametrize("denied", ["", "namespaces filters"])
def test_a_person_renders_their_own_repository_and_is_told_where_nothing_confines(public: Path, denied: str) -> None:
    server = Server()
    for one in installed.kinds():
        server.put(one)
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "nidus-system"}})
    repository, kubeconfig = public / "repository", public / "kubeconfig"
    repository.mkdir()
    os.chown(repository, 65532, 65532)
    with Front(server) as front:
        cluster = {"name": "c", "cluster": {"server": front.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {
            "clusters": [cluster],
            "users": [{"name": "u", "user": {}}],
            "contexts": [context],
            "current-context": "c",
        }
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        told = as_stranger(PLAN, str(repository), "--kubeconfig", str(kubeconfig), denied=denied)
    assert told.splitlines()[-1] == "exit code 0", told
    assert ("rendered without confinement" in told) == bool(denied)


OWN = """
import os, subprocess, sys
from pathlib import Path
folder, verb, wanted = sys.argv[1:]
os.environ["NIDUS_CONFINED"] = wanted
subprocess.run(["git", "-C", folder, "init", "--quiet"], check=True)
Path(folder, "all.yaml").write_text('''
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: web}
spec:
  version: 1.0.0
  packs:
    - {name: web, manifests: {objects: [{apiVersion: v1, kind: Namespace, metadata: {name: web}}]}}
---
apiVersion: nidus.dev/v1alpha1
kind: NestedCluster
metadata: {name: a}
spec: {profiles: [{name: web, version: 1.0.0}]}
''')
from reconciler.__main__ import main
sys.stderr = sys.stdout
os.chdir(folder)
print("exit code", main({"validate": ["validate", "."], "render": ["render", "a", "web/web"]}[verb]))
"""


@root
@pytest.mark.parametrize("verb", ["validate", "render"])
def test_what_strangers_wrote_can_be_left_unrendered_where_nothing_confines(public: Path, verb: str) -> None:
    def told(name: str, denied: str, wanted: str) -> str:
        folder = public / name
        folder.mkdir()
        os.chown(folder, 65532, 65532)
        return as_stranger(OWN, str(folder), verb, wanted, denied=denied)

    note = "rendered without confinement"
    confined, lax = told("a", "", "require"), told("b", "namespaces filters", "")
    assert note not in confined and confined.splitlines()[-1] == "exit code 0", confined
    assert note in lax and lax.splitlines()[-1] == "exit code 0", lax
    refused = told("c", "namespaces filters", "require")
    assert "cannot be kept from the network" in refused and refused.splitlines()[-1] == "exit code 1", refused


def layer(name: str, **files: bytes) -> Layer:
    held = {"Chart.yaml": CHART.encode(), "templates/a.yaml": CONFIG.encode(), **files}
    pairs = tuple((f"c/{path}", f"{name}/{path}") for path in held)
    return Layer(f"p/{name}", Target("local", name), "helm", {"chart": "c", "release": name}, repr((name, held)), pairs)


def render(renderer: Renderer, name: str, **files: bytes) -> NidusError | None:
    held = {"Chart.yaml": CHART.encode(), "templates/a.yaml": CONFIG.encode(), **files}

    def read(oids: Collection[str]) -> dict[str, bytes]:
        return {oid: held[oid.removeprefix(f"{name}/")] for oid in oids}

    try:
        renderer.render(layer(name, **files), read, host_version="v1.36.0")
    except NidusError as error:
        return error
    return None


def packed(path: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo(path)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(1)
    yield made
    made.close()


ADDRESSES = ("http://127.0.0.1:{port}/x", "https://169.254.169.254/latest", "file://{file}", "{file}", "other.json")
SPELLED = {
    "plain": lambda address: {"$ref": address},
    "deep": lambda address: {"properties": {"a": {"items": [{"allOf": [{"$ref": address}]}]}}},
    "dynamic": lambda address: {"$dynamicRef": address},
    "draft": lambda address: {"$schema": address},
}


@pytest.mark.parametrize("spelled", SPELLED)
def test_no_address_of_a_schema_is_opened(listener: Listener, renderer: Renderer, tmp_path: Path, spelled: str) -> None:
    canary = tmp_path / "canary.json"
    canary.write_text('{"type": "string", "const": "canary-3f9a"}')
    os.utime(canary, (1, 1))
    for number, address in enumerate(ADDRESSES):
        schema = json.dumps(SPELLED[spelled](address.format(port=listener.port, file=canary))).encode()
        for place, data in (
            ("values.schema.json", schema),
            ("charts/sub/values.schema.json", schema),
            ("charts/sub-1.0.0.tgz", packed("sub/values.schema.json", schema)),
            ("charts/sub-1.0.0.tgz", packed("sub/charts/a.tgz", packed("a/values.schema.json", schema))),
        ):
            refused = render(renderer, f"{spelled}-{number}", **{place: data})
            assert isinstance(refused, Stalled) and refused.reason == "ChartInvalid", (place, address, refused)
            assert "canary-3f9a" not in refused.message
    assert listener.count == 0
    assert canary.stat().st_atime == 1


def test_a_hidden_reference_is_found_too(renderer: Renderer) -> None:
    for text in (
        b'{"\\u0024ref": "file:///etc/hostname"}',
        b'{"$ref": "file:///etc/hostname", "$ref": "#"}',
        b'\xef\xbb\xbf{"$ref": "file:///etc/hostname"}',
        b'{"$id": "file:///etc/", "$ref": "#/a"}',
        b"[" * 200_000,
        b"not json",
    ):
        refused = render(renderer, "hidden", **{"values.schema.json": text})
        assert isinstance(refused, Stalled) and refused.reason == "ChartInvalid", (text[:60], refused)


SUB = b"apiVersion: v2\nname: sub\nversion: 1.0.0\n"


def members(*found: tuple[str, bytes, bytes], ends: bool = True) -> bytes:
    """A tar of (name, content, type); without its end another one goes on with it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data, kind in found:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind
            archive.addfile(member, io.BytesIO(data))
        stop = archive.offset
    return out.getvalue() if ends else out.getvalue()[:stop]


FILE = tarfile.REGTYPE
PACKED = {
    "in a second stream": lambda schema: (
        gzip.compress(members(("sub/Chart.yaml", SUB, FILE), ends=False))
        + gzip.compress(members(("sub/values.schema.json", schema, FILE)))
    ),
    "of an unknown kind": lambda schema: gzip.compress(
        members(("sub/Chart.yaml", SUB, FILE), ("sub/values.schema.json", schema, b"A"))
    ),
    "behind dots": lambda schema: gzip.compress(
        members(
            ("sub/Chart.yaml", SUB, FILE),
            ("sub/charts/b/../a.tgz", packed("a/values.schema.json", schema), FILE),
        )
    ),
    "behind another separator": lambda schema: gzip.compress(
        members(("sub\\Chart.yaml", SUB, FILE), ("sub\\values.schema.json", schema, FILE))
    ),
}


@pytest.mark.parametrize("how", PACKED)
def test_an_archive_hides_no_schema(renderer: Renderer, tmp_path: Path, how: str) -> None:
    """Helm's reader of archives sees files that others do not see."""
    canary = tmp_path / "canary.json"
    canary.write_text('{"type": "string", "const": "canary-3f9a"}')
    os.utime(canary, (1, 1))
    schema = json.dumps({"$ref": f"file://{canary}"}).encode()
    refused = render(renderer, "archive", **{"charts/sub-1.0.0.tgz": PACKED[how](schema)})
    assert isinstance(refused, Stalled) and refused.reason == "ChartInvalid", refused
    assert canary.stat().st_atime == 1


def test_a_packed_subchart_is_rendered_with_its_files(renderer: Renderer) -> None:
    inner = gzip.compress(
        members(
            ("deep/Chart.yaml", SUB.replace(b"sub", b"deep"), FILE),
            ("deep/templates/a.yaml", CONFIG.replace("name: a", "name: deep").encode(), FILE),
        )
    )
    sub = gzip.compress(
        members(
            ("sub/", b"", tarfile.DIRTYPE),
            ("sub/Chart.yaml", SUB, FILE),
            ("sub/charts/deep-1.0.0.tgz", inner, FILE),
            (f"sub/templates/{'x' * 150}.yaml", CONFIG.replace("name: a", "name: sub").encode(), FILE),
        )
    )
    held = {"Chart.yaml": CHART.encode(), "templates/a.yaml": CONFIG.encode(), "charts/sub-1.0.0.tgz": sub}
    found = renderer.render(
        layer("packed", **{"charts/sub-1.0.0.tgz": sub}),
        lambda oids: {oid: held[oid.removeprefix("packed/")] for oid in oids},
        host_version="v1.36.0",
    )
    assert sorted(one["metadata"]["name"] for one in found) == ["a", "deep", "sub"]


def test_a_schema_that_refers_to_itself_and_to_a_draft_is_used(renderer: Renderer) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/web.json",
        "$defs": {"a": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/$defs/a"}},
    }
    assert render(renderer, "sound", **{"values.schema.json": json.dumps(schema).encode()}) is None
    wrong = render(
        renderer, "wrong", **{"values.schema.json": json.dumps(schema).encode(), "values.yaml": b"a: text\n"}
    )
    assert isinstance(wrong, Stalled) and wrong.reason == "RenderFailed"
