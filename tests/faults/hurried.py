"""`python -m tests.faults.hurried EVERY SILENCE`: `nidus run` with other seconds between two looks at the host, as the arguments say."""

import signal
import sys
import threading

from reconciler import settings
from reconciler.controller.service import Service
from reconciler.controller.watches import Pace


def main(config: str, namespace: str, every: float, silence: float) -> None:
    """Start, wait for SIGTERM, stop."""
    ended = threading.Event()
    service = Service(settings.load(config, namespace=namespace), pace=Pace(every, silence))

    def end(number: int, frame: object) -> None:
        ended.set()
        service.interrupt()

    signal.signal(signal.SIGTERM, end)
    try:
        service.start()
        ended.wait()
    finally:
        service.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
