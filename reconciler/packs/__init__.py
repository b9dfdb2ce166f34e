"""Rendering: a layer becomes the objects it wants, in a worker process that a hostile chart cannot leave (H4).

`KINDS` names the module of each pack kind; it has one function, `render(job) -> [(source, document), ...]`. Modules are
imported by the worker only: Helm's library never enters the controller's own process.
"""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "manifests": "reconciler.packs.manifests",
    "helm": "reconciler.packs.helm",
}
