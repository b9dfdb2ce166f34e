"""What a listener spends."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds for the parts of a request and for stopping; a number of threads, of connections, and of those of one sender from
    which on it loses its own; bytes of all bodies and answers together, and of one header. Who waits for room waits until
    the slowest had `grace` seconds."""

    header: float = 10.0
    body: float = 20.0
    queue: float = 30.0
    answer: float = 30.0
    goodbye: float = 2.0
    stop: float = 10.0
    grace: float = 0.5
    threads: int = 8
    connections: int = 512
    share: int = 384
    memory: int = 64 << 20
    header_size: int = 32 << 10


USUAL = Bounds()
