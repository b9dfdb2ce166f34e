"""Which versions the live workload of an engine runs: what its pod template says, once a pod of it is Ready (O11)."""

from reconciler.engine import versions
from reconciler.health.reading import number, rows, section
from reconciler.model import NO_VERSIONS, Object, Versions

KUBERNETES, ENGINE = "kubernetes", "syncer"  # containers of the chart: no value of it names them otherwise


def running(workload: Object) -> Versions:
    """The versions of a live StatefulSet or Deployment; none where no pod of its newest template is Ready, or it is not the engine's."""
    pod = section(workload, "spec", "template", "spec")
    images = {
        one.get("name"): str(one.get("image")) for one in (*rows(pod, "initContainers"), *rows(pod, "containers"))
    }
    found = Versions(_tag(images.get(ENGINE, "")), _tag(images.get(KUBERNETES, "")))
    return found if "" not in (found.engine, found.kubernetes) and _newest_ready(workload) else NO_VERSIONS


def _newest_ready(workload: Object) -> bool:
    """Whether a pod of the newest template is Ready: more pods are Ready than there are older ones."""
    status = section(workload, "status")
    if number(status, "observedGeneration") < number(section(workload, "metadata"), "generation", 1):
        return False
    older = number(status, "replicas") - number(status, "updatedReplicas")
    return number(status, "readyReplicas") > max(older, 0)


def _tag(image: str) -> str:
    """The tag of an image where it is a version, else ""."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag if versions.minor(tag) is not None else ""
