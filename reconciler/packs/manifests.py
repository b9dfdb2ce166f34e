"""Pack kind `manifests`: plain Kubernetes objects, from files and from the profile itself."""

from reconciler.errors import Stalled
from reconciler.packs import judged, sops
from reconciler.packs.documents import LIMITS, read
from reconciler.packs.objects import Sourced
from reconciler.packs.wire import Job
from reconciler.plan import sensitive
from reconciler.spec import manifests, yaml
from reconciler.spec.scalars import OBJECTS

MISPLACED = "a sensitive variable stands outside the data of a Secret"
ONLY = "it may stand in data and stringData of a Secret only, where the server keeps it from others"


def render(job: Job) -> list[Sourced]:
    """The objects the profile spells out, then those of its files in the order the layer names them, then those from elsewhere, which
    are read as Helm reads YAML, and in which nothing is filled in.

    Raises Stalled: RenderFailed naming file, line and column; DecryptionFailed; ObjectRefused for what no repository may
    say, judged again here because references are filled in only now: one may have hidden the kind of an object.
    """
    inline = [(f"objects[{index}]", found) for index, found in enumerate(job.spec.get("objects", ()))]
    elsewhere = job.spec.get("elsewhere", ())
    own = [read(job, path, largest=OBJECTS) for path in job.files if path not in elsewhere]
    whole = inline + [found for file in own for found in file.documents]
    clear = {source: file.clear for file in own if file.clear for source, _ in file.documents}
    if job.authored:
        judged.judge(whole, lambda source: _literal(source, job), sealed=clear)
    whole += [found for path in elsewhere for found in _foreign(path, job.files[path])]
    misplaced = [source for source, document in whole if sensitive.misplaced(document)]
    if misplaced:
        raise Stalled(f"{misplaced[0]}: {MISPLACED}", reason="ObjectRefused", hint=ONLY)
    return [(source, sops.filled_secrets(document, clear.get(source, {}))) for source, document in whole]


def _foreign(path: str, data: bytes) -> list[Sourced]:
    from reconciler.packs import loader  # brings PyYAML, which most packs of this kind do without

    try:
        return [(path, document) for document in loader.load(data.decode("utf-8-sig"), path)]
    except UnicodeDecodeError:
        raise Stalled(f"{path}: not UTF-8 text", reason="RenderFailed") from None


def _literal(source: str, job: Job) -> bool:
    """Whether the data of a Secret stands there as it is, without a reference: then it was judged with its file, whose line allows it
    (K13)."""
    path, _, line = source.rpartition(":")
    if path not in job.files:
        return source in job.spec.get("literal", ())
    parsed = yaml.parse(job.files[path], path, LIMITS, largest=OBJECTS)
    return any(manifests.has_literal_data(one.body) for one in parsed.documents if str(one.line) == line)
