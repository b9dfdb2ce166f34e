"""Says once what keeps the render workers from the network; without it they refuse to render."""

import threading
from collections.abc import Callable

from reconciler.controller import border
from reconciler.errors import NidusError
from reconciler.packs.process import ALLOW, NOT_CONFINED
from reconciler.packs.render import Renderer
from reconciler.report import Reporter, log

UNKNOWN = "not known yet"


def start(renderer: Renderer, reporter: Reporter, told: Callable[[str], None]) -> None:
    """Log and report it from a thread of its own, since a worker takes a moment to start; `told` gets it in words."""

    def run() -> None:
        with border.dropped("confinement"):
            told(tell(renderer, reporter))

    threading.Thread(target=run, name="confinement", daemon=True).start()


def tell(renderer: Renderer, reporter: Reporter) -> str:
    """Log and report it; returns it in words, UNKNOWN where no worker starts."""
    try:
        held = renderer.confinement()
    except NidusError as error:
        log.line("RenderWorkers", message=error.message, level="error")
        return UNKNOWN
    confined = " and ".join(held) or "none"
    reporter.confined(held)
    if held:
        log.line("RenderWorkers", confined=confined)
    else:
        log.line("RenderWorkers", message=f"{NOT_CONFINED}: {ALLOW}", level="error")
    return confined
