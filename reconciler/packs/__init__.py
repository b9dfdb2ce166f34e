"""Renders layers to objects, in separate worker processes, so that a hostile chart cannot reach the controller's
process (H4).

`KINDS` names the module of each pack kind; it has one function, `render(job) -> [(source, document), ...]`. Modules are
imported by the worker only: Helm's library never enters the controller's own process.
"""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "manifests": "reconciler.packs.manifests",
    "helm": "reconciler.packs.helm",
    "secrets": "reconciler.packs.secrets",
    "kustomize": "reconciler.packs.kustomize",
}
