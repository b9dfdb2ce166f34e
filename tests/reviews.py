"""Reviews of given plans, as the renderers take them."""

from collections.abc import Sequence
from typing import Any

from reconciler.model import ClusterReview, Plan, Review, Revision, replace

AT = 1_764_193_073.0  # 2025-11-26 21:37:53 UTC


def review(plans: Plan | Sequence[Plan], **more: Any) -> Review:
    """A review of these plans alone. Layers that wait for their control plane are known by the sentence of tests that say so."""
    found = [plans] if isinstance(plans, Plan) else list(plans)
    revision = found[0].revision if found else Revision("main", "4f2a1c9")
    made = Review("platform", revision, "local", AT, tuple(ClusterReview(one.cluster, one) for one in found))
    return replace(made, **more)


def below(text: str) -> list[str]:
    """The lines below the header of a rendered review."""
    return text.split("\n\n", 1)[1].split("\n")
