"""`python -m tests.faults.hurried EVERY SILENCE`: `nidus run` with other seconds between two looks at the host, as the arguments say."""

import sys
import threading

from reconciler import settings
from reconciler.controller.service import Service
from reconciler.controller.watches import Intervals
from reconciler.verbs import signals


def main(config: str, namespace: str, every: float, silence: float) -> None:
    """Start, wait for SIGTERM, stop."""
    ended = threading.Event()
    service = Service(settings.load(config, namespace=namespace), intervals=Intervals(every, silence))

    def end() -> None:
        ended.set()
        service.interrupt()

    signals.on_end(end)
    try:
        service.start()
        ended.wait()
    finally:
        service.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
