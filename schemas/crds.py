"""The CustomResourceDefinitions of the home cluster: `python -m schemas.crds` writes deploy/crds/.

Sources and NestedClusters report; people write documents in Git instead (api.md, "On the home cluster"). A status may grow fields
between versions of the controller, so what is not described there is kept, not refused. Requests are what people ask for: closed,
bounded, and never changed once written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from reconciler.inventory import requests
from reconciler.report import life

Json = dict[str, Any]
FOLDER = Path(__file__).parent.parent / "deploy" / "crds"
GROUP = "nidus.dev"
_PLAIN = {str: "string", int: "integer", bool: "boolean"}
HEADER = "# Written by `python -m schemas.crds`; change schemas/crds.py instead.\n"


def definitions() -> dict[str, Json]:
    """File name -> definition."""
    return {
        "sources.nidus.dev.yaml": _definition("Source", "sources", _SOURCE_SPEC, _SOURCE_STATUS, _SOURCE_COLUMNS),
        "nestedclusters.nidus.dev.yaml": _definition(
            "NestedCluster", "nestedclusters", _CLUSTER_SPEC, _CLUSTER_STATUS, _CLUSTER_COLUMNS
        ),
        "requests.nidus.dev.yaml": _definition("Request", "requests", _REQUEST_SPEC, None, _REQUEST_COLUMNS),
    }


def render() -> dict[str, str]:
    """File name -> text."""
    import yaml

    texts = definitions()
    return {name: HEADER + yaml.safe_dump(body, sort_keys=False, width=120) for name, body in texts.items()}


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


def _number(description: str) -> Json:
    return {"type": "integer", "description": description}


def _told(view: type[Struct], **said: str | Json) -> dict[str, Json]:
    """The properties of a view, each with its description, or its whole form where it is no plain value. KeyError and TypeError where
    they are not the fields of the view."""
    fields = {one.name: one for one in msgspec.structs.fields(view)}
    if missing := fields.keys() ^ said.keys():
        raise TypeError(f"{view.__name__}: {', '.join(sorted(missing))}")
    return {
        fields[name].encode_name: {"type": _PLAIN[fields[name].type], "description": told}
        if isinstance(told, str)
        else told
        for name, told in said.items()
    }


def _object(
    description: str, properties: Mapping[str, Json], required: tuple[str, ...] = (), *, closed: bool = True
) -> Json:
    body: Json = {"type": "object", "description": description, "properties": dict(properties)}
    if required:
        body["required"] = list(required)
    if not closed:
        body["x-kubernetes-preserve-unknown-fields"] = True
    return body


def _list(description: str, items: Json, key: str = "") -> Json:
    body: Json = {"type": "array", "description": description, "items": items}
    if key:
        body |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return body


def _times(description: str) -> Json:
    return {"type": "object", "description": description, "additionalProperties": {"type": "string"}}


_HELD = _object(
    "What waits for a human, and the digest that approves it.",
    {
        "reason": _text("Reason, one word."),
        "message": _text("What waits."),
        "digest": _text("For `nidus approve`."),
        "items": _list("What the digest stands for, unless it is too long.", _text("One removal.")),
        "clusters": _list("Those it concerns.", _text("One cluster.")),
    },
)
_CONDITIONS = _list(
    "Ready, Reconciling and Stalled.",
    _object(
        "One condition.",
        {
            "type": _text("Type of the condition."),
            "status": {
                "type": "string",
                "description": "True, False or Unknown.",
                "enum": ["True", "False", "Unknown"],
            },
            "reason": _text("Reason, one word."),
            "message": _text("A sentence."),
            "lastTransitionTime": _text("When the status last turned."),
        },
        ("type", "status"),
    ),
    "type",
)
_REF = {
    "group": _text("Group of its kind."),
    "kind": _text("Kind."),
    "namespace": _text("Namespace."),
    "name": _text("Name."),
}
_CAUSE = _object(
    "One object on the way, or an Event.",
    {
        "kind": _text("Kind."),
        "namespace": _text("Namespace."),
        "name": _text("Name."),
        "state": _text("A word or a count, such as CrashLoopBackOff or 0/1."),
        "message": _text("What it says."),
        "since": _text("Since when, or when last seen."),
        "restarts": _number("Restarts of the container."),
        "image": _text("Image of the container."),
    },
    closed=False,
)
_AUTHORED = {
    "author": _text("Who wrote the commit, as the commit says."),
    "subject": _text("Its first line."),
    "signer": _text("Who signed it, where the source verifies that."),
    "written": _text("When it was written, as the commit says."),
}
_LAYERS = _list(
    "The layers, in order.",
    _object(
        "One layer.",
        {
            "name": _text("Name of the layer."),
            "target": _text("Where its objects live: the host, or host/cluster."),
            "health": _text("Current, InProgress, Failed, Waiting, Held or Unknown."),
            "message": _text("Why it is not Current."),
            "objects": _number("How many objects it has."),
            "since": _text("Since when it has this health."),
            "object": _object("The object that keeps it from being Current.", _REF, closed=False),
            "causes": _list("From that object down to the pod and its last Event.", _CAUSE),
        },
        ("name",),
        closed=False,
    ),
    "name",
)
_CLUSTER_SPEC = _object(
    "Where the nested cluster is described; an object made by hand is reported, never acted on.",
    {"source": _text("Name of the source."), "file": _text("File in the source.")},
    closed=False,
)
_SLEEP = _object(
    "Whether it sleeps, and why; not there where nothing ever asks it to.",
    _told(
        life.SleepView,
        asleep="Whether it is to sleep.",
        by="What decides: git, request, schedule, expiry or restore.",
        why="The same in words, with who asked.",
        ended="How the newest request ended.",
        since="Since when, as far as it is known.",
        until="Its next turn; not there where only a commit or a request ends it.",
    ),
    closed=False,
)
_SNAPSHOT = _object(
    "One snapshot.",
    _told(
        life.ArchiveView,
        id="Its name.",
        time="When it was begun.",
        state="Completed: read back whole. Failed: not to be used.",
        url="Where it is.",
        size="Bytes.",
        keys="Keys of the store in it.",
        sha256="Of the archive.",
        why="Why it failed.",
        commit="The commit accepted then.",
        engine="Version of the engine then.",
        kubernetes="Version of Kubernetes then.",
    ),
    closed=False,
)
_BACKUPS = _object(
    "Its snapshots; not there where its file asks for none.",
    _told(
        life.BackupsView,
        list=_list("The newest ones, newest first.", _SNAPSHOT),
        running="The one under way, and how far it is.",
        problem="Why none can be made or removed now.",
    ),
    closed=False,
)
_RESTORED = _object(
    "The last one that ended.",
    _told(
        life.RestoredView,
        id="Its name.",
        snapshot="What was restored.",
        time="When it ended.",
        state="Completed, or Failed: then the data is that of before, where there was some.",
        why="Why it failed.",
        keys="Keys in the archive.",
    ),
    closed=False,
)
_RESTORE = _object(
    "Its restores; not there where nobody asked for one.",
    _told(
        life.RestoreView,
        running="The one under way, and how far it is.",
        problem="Why it does not go on now.",
        last=_RESTORED,
    ),
    closed=False,
)
_KUBECONFIG = _object(
    "One.",
    _told(life.KubeconfigView, name="Its name.", expires_at="When its token ends; the next is made before."),
    closed=False,
)
_KUBECONFIGS = _object(
    "Its kubeconfigs (access.kubeconfigs), each in Secret nidus-kubeconfig-NAME; not there where nobody asked for one.",
    _told(
        life.KubeconfigsView, list=_list("Those that are there.", _KUBECONFIG), problem="Why not all are as asked for."
    ),
    closed=False,
)
_STORAGE = _object(
    "Volumes of its control plane that have grown or are to; not there where the size never changed.",
    _told(
        life.StorageView,
        asked="The size that its file asks for.",
        behind=_list("Those that do not have it yet.", _text("One volume, and what it has.")),
        problem="Why they do not grow.",
    ),
    closed=False,
)
_DELETION = _object(
    "What its removal from Git would do.",
    _told(
        life.DeletionView,
        policy="Retain, Delete or Orphan.",
        grace="How long it stays after its file is gone.",
        protect="Whether its removal is held instead.",
    ),
    closed=False,
)
_REMOVAL = _object(
    "Its removal from Git.",
    _told(
        life.RemovalView,
        revision="The revision that has no file of it any more.",
        since="Since when that counts.",
        due="When the policy is carried out.",
        author="Who wrote that revision.",
        subject="The first line of its message.",
    ),
    closed=False,
)
_CLUSTER_STATUS = _object(
    "What was last read back of the nested cluster.",
    {
        "status": _text(
            "One word: Pending Provisioning Ready Progressing Degraded Waiting Held Suspended Asleep Deleting Expired Invalid."
        ),
        "since": _text("Since when it has this status."),
        "revision": _object(
            "Revisions; they move only when the cluster's own content changes.",
            {"applied": _text("The last one wholly applied."), "attempted": _text("The last one tried.")} | _AUTHORED,
        ),
        "versions": _object(
            "Versions that run.",
            {
                "kubernetes": _text("Of the API server."),
                "engine": _text("Of the engine."),
                "steps": _list(
                    "The versions of an upgrade of several steps, that which runs first.", _text("A version.")
                ),
            },
            closed=False,
        ),
        "endpoint": _text("Where the API server is reached."),
        **_told(
            life.Life,
            expires_at="When its ttl ends, and it sleeps until its deletion.",
            expiry_warning="The last warning of that: day, hour or over.",
            sleep=_SLEEP,
            backups=_BACKUPS,
            restore=_RESTORE,
            kubeconfigs=_KUBECONFIGS,
            storage=_STORAGE,
            deletion=_DELETION,
            removal=_REMOVAL,
        ),
        "layers": _LAYERS,
        "layersSeen": _text("When the layers were as shown, where the last pass did not look at them."),
        "host": _text("The host cluster that it runs on."),
        "labels": _times("Its labels in Git."),
        "profiles": _list("Profiles in use, NAME@VERSION.", _text("One profile.")),
        "plan": _object(
            "The last plan.",
            {
                "held": _list("Changes that wait, with the reason.", _text("One change.")),
                "digest": _text("Approves them, for `nidus approve`."),
                "items": _list("What the digest stands for, unless it is too long.", _text("One change.")),
                "clusters": _list("Those it concerns; there where it may span several.", _text("One cluster.")),
            },
            closed=False,
        ),
        "conditions": _CONDITIONS,
    },
    closed=False,
)
_SOURCE_SPEC = _object(
    "The repository, as the controller was configured.",
    {"url": _text("Repository."), "branch": _text("Branch."), "path": _text("Folder inside it.")},
    closed=False,
)
_VIOLATIONS = _list(
    "Mistakes in the documents, the first ones.",
    _object(
        "One mistake.",
        {
            "code": _text("Code, NID and a number."),
            "file": _text("File in the source."),
            "line": _number("Line, from 1."),
            "column": _number("Column, from 1."),
            "message": _text("What is wrong."),
        },
        ("code", "file", "message"),
        closed=False,
    ),
)
_SOURCE_STATUS = _object(
    "What was last read of the source.",
    {
        "revision": _text("The revision last read."),
        "accepted": _number("Clusters admitted."),
        "rejected": _number("Clusters kept at what was accepted before, or not admitted."),
        "violations": _VIOLATIONS,
        "violationCount": _number("How many mistakes there are."),
        "held": _HELD,
        "generation": _number("The requested generation last acted on."),
        "trigger": _text("What woke it last: webhook, watch, poll, start or sync."),
        "stages": _times("When the last commit was seen, fetched, validated and admitted."),
        "error": _text("Why the source cannot be read, empty when it can."),
        "fetched": _text("When it was last fetched, told while it cannot be."),
        "renderWorkers": _text(
            "What keeps the render workers from the network; where it is none, nothing is rendered."
        ),
        "configuration": _text("Why the controller's configuration file is not in force as a whole."),
        "changing": _list("Clusters that the revision changed, until all of them were Ready.", _text("One cluster.")),
        "commit": _object("Who wrote the revision.", _AUTHORED, closed=False),
    },
    closed=False,
)
_NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"


def _bounded(description: str, longest: int, pattern: str = "") -> Json:
    return _text(description) | {"maxLength": longest} | ({"pattern": pattern} if pattern else {})


def _rule(rule: str, message: str) -> Json:
    return {"rule": rule, "message": message}


_REQUEST_SPEC = _object(
    "What somebody asks for.",
    {
        "kind": _text("What is asked for.") | {"enum": list(requests.KINDS)},
        "who": _bounded("Who asks: the user the API server knows them by; another name is refused.", requests.LINE)
        | {"minLength": 1},
        "source": _bounded("Name of the source it is about, where it is about one.", requests.NAME, _NAME),
        "cluster": _bounded("Name of the nested cluster; none where an approval covers several.", requests.NAME, _NAME),
        "consent": _bounded("The digest of what is approved.", 64, "^[0-9a-f]*$"),
        "items": _list("What the digest stands for.", _bounded("One removal.", requests.LINE))
        | {"maxItems": requests.ITEMS},
        "reason": _bounded("Why, for everybody who looks.", requests.LINE),
        "change": _number("Number of the change request on which it was approved; none where an operator approves.")
        | {"minimum": 0},
        "approvers": _list("The accounts of the forge that approved it there, by id.", _number("One account."))
        | {"maxItems": requests.APPROVERS},
        "expires": _text(
            "When it ends, within a year of its creation. Without it, what is asked for stands until the opposite is."
        )
        | {"format": "date-time", "maxLength": 64},
    },
    ("kind", "who"),
)
_REQUEST_SPEC["x-kubernetes-validations"] = [
    _rule("self == oldSelf", "a request is never changed; ask anew"),
    _rule(
        "self.kind == 'approve' || (has(self.cluster) && size(self.cluster) > 0)", "all but approvals name one cluster"
    ),
    _rule(
        "!(self.kind in ['extend', 'backup', 'restore']) || has(self.expires)",
        "to extend takes the new end, a backup and a restore an end",
    ),
    _rule(
        "self.kind != 'approve' || (has(self.consent) && size(self.consent) == 64 && has(self.expires))",
        "an approval has the digest of what it approves, and an end",
    ),
]


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Json:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


_SHORT = {"NestedCluster": "nc"}
_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_READY = '.status.conditions[?(@.type=="Ready")].status'
_CLUSTER_COLUMNS = (
    _column("Version", ".status.versions.kubernetes"),
    _column("Ready", _READY),
    _column("Status", ".status.status"),
    _column("Revision", ".status.revision.applied"),
    _column("Since", ".status.since", "date"),
    _AGE,
    _column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
    _column("Endpoint", ".status.endpoint", wide=True),
    _column("Source", ".spec.source", wide=True),
)
_SOURCE_COLUMNS = (
    _column("Revision", ".status.revision"),
    _column("Clusters", ".status.accepted", "integer"),
    _column("Mistakes", ".status.violationCount", "integer"),
    _column("Trigger", ".status.trigger"),
    _AGE,
    _column("Error", ".status.error", wide=True),
)
_REQUEST_COLUMNS = (
    _column("Kind", ".spec.kind"),
    _column("Cluster", ".spec.cluster"),
    _column("Who", ".spec.who"),
    _column("Expires", ".spec.expires"),
    _AGE,
)


def _definition(kind: str, plural: str, spec: Json, status: Json | None, columns: tuple[Json, ...]) -> Json:
    """Without a status, it is what people write: then the spec is demanded."""
    parts = {"spec": spec} if status is None else {"spec": spec, "status": status}
    schema = _object(f"{kind} of Nidus.", parts, ("spec",) if status is None else ())
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    } | schema["properties"]
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        **({} if status is None else {"subresources": {"status": {}}}),
        "additionalPrinterColumns": list(columns),
        "schema": {"openAPIV3Schema": schema},
    }
    names: Json = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    if kind in _SHORT:
        names["shortNames"] = [_SHORT[kind]]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app.kubernetes.io/part-of": "nidus", "nidus.dev/kept": "true"},
        },
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


if __name__ == "__main__":
    main()
