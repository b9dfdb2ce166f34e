"""Pack kind `manifests`: plain Kubernetes objects, from files and from the profile itself."""

from reconciler.packs.documents import documents
from reconciler.packs.objects import Sourced
from reconciler.packs.wire import Job


def render(job: Job) -> list[Sourced]:
    """The objects the profile spells out, then those of its files in the order the layer names them.

    Raises Stalled(RenderFailed) naming file, line and column.
    """
    inline = [(f"objects[{index}]", found) for index, found in enumerate(job.spec.get("objects", ()))]
    return inline + [found for path in job.files for found in documents(job, path)]
