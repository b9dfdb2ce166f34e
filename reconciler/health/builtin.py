"""Rules of the kinds that run no pods themselves."""

from collections.abc import Sequence

from reconciler.errors import one_line
from reconciler.health.reading import CURRENT, condition, rows, section, spelled, told, waiting
from reconciler.model import Health, Object


def namespace(obj: Object) -> Health:
    """Current while Active, otherwise Terminating."""
    phase = one_line(section(obj, "status").get("phase", "Active"), 100)
    return CURRENT if phase == "Active" else Health("Terminating", "Terminating", f"the namespace is {phase}")


def volume_claim(obj: Object) -> Health:
    """Current once bound; a lost volume does not come back."""
    phase = one_line(section(obj, "status").get("phase"), 100)
    if phase == "Bound":
        return CURRENT
    if phase == "Lost":
        return Health("Failed", "VolumeLost", "the volume behind the claim is gone")
    return waiting("NotBound", f"the claim is {phase or 'new'}")


_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


def unbound(obj: Object) -> bool:
    """Whether a live object is a claim without a volume, for which no node was chosen either."""
    if obj.get("kind") != "PersistentVolumeClaim" or section(obj, "metadata").get("deletionTimestamp"):
        return False
    return volume_claim(obj).reason == "NotBound" and not section(obj, "metadata", "annotations").get(_SELECTED_NODE)


def class_of(claim: Object, classes: Sequence[Object]) -> Object | None:
    """The storage class of a claim: the one it names, else the default; None where it is not among `classes`."""
    wanted = section(claim, "spec").get("storageClassName")
    for one in classes:
        meta = section(one, "metadata")
        default = section(meta, "annotations").get(_DEFAULT_CLASS) == "true"
        if meta.get("name") == wanted if isinstance(wanted, str) else default:
            return one
    return None


def service(obj: Object) -> Health:
    """A load balancer is Current once it has an address; every other Service at once."""
    spec = section(obj, "spec")
    if spec.get("type") != "LoadBalancer":
        return CURRENT
    if not spec.get("clusterIP"):
        return waiting("NoClusterIP", "the Service has no cluster address yet")
    if not rows(section(obj, "status", "loadBalancer"), "ingress"):
        return waiting("NoAddress", "the load balancer has no address yet")
    return CURRENT


def ingress(obj: Object) -> Health:
    """Always Current: many ingress controllers never write an address (kstatus knows no rule either)."""
    return CURRENT


def resource_quota(obj: Object) -> Health:
    """Enforced once the quota controller copied what the spec says (A4: status.hard equals spec.hard)."""
    if section(obj, "status", "hard") == section(obj, "spec", "hard"):
        return CURRENT
    return waiting("QuotaNotEnforced", "the quota controller has not taken the limits over yet")


def pod_disruption_budget(obj: Object) -> Health:
    """Current once its controller has computed it; how many disruptions it allows does not matter."""
    if "observedGeneration" in section(obj, "status"):
        return CURRENT
    return waiting("NotObserved", "the controller has not seen it yet")


def job(obj: Object) -> Health:
    """Current when complete or suspended on purpose, Failed when it failed."""
    failed = condition(obj, "Failed")
    if failed.get("status") == "True":
        return Health("Failed", spelled(failed, "JobFailed"), told(failed))
    if condition(obj, "Complete").get("status") == "True":
        return Health("Current", "JobCompleted", "the job ran to its end")
    if section(obj, "spec").get("suspend") is True:
        return Health("Current", "JobSuspended", "the job is suspended")
    if not section(obj, "status").get("startTime"):
        return waiting("JobNotStarted", "the job has not started")
    return waiting("JobRunning", "the job runs")


def cron_job(obj: Object) -> Health:
    """Always Current; one that is suspended says so."""
    if section(obj, "spec").get("suspend") is True:
        return Health("Current", "CronJobSuspended", "the cron job is suspended")
    return CURRENT


def custom_resource_definition(obj: Object) -> Health:
    """Current once established; names another definition already took are a failure."""
    names = condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Health("Failed", spelled(names, "NamesNotAccepted"), told(names))
    established = condition(obj, "Established")
    if established.get("status") == "True":
        return CURRENT
    if established.get("status") == "False" and established.get("reason") != "Installing":
        return Health("Failed", spelled(established, "NotEstablished"), told(established))
    return waiting("Installing", "the definition is not established yet")


def api_service(obj: Object) -> Health:
    """Current once available."""
    available = condition(obj, "Available")
    if available.get("status") == "True":
        return CURRENT
    return waiting(spelled(available, "NotAvailable"), told(available))
