"""What is measured, in whole numbers, and how it is priced (U5)."""

from fractions import Fraction
from typing import Final

from msgspec import Struct

HOUR: Final = 3_600_000  # milliseconds
GIB: Final = 1 << 30
PERCLASS: Final = "storage/"  # begins the item of one storage class that has a price of its own
SAVED: Final = "saved/"  # begins the item of what a cluster would ask for if it did not sleep


class Item(Struct, frozen=True):
    """`scale`: how many of what is measured are one priced unit; `unit`: that unit in an hour; `price`: its field of `prices`."""

    name: str
    told: str
    scale: int
    unit: str
    price: str

    @property
    def saves(self) -> bool:
        """Whether it tells what was not asked for, which costs nothing."""
        return self.name.startswith(SAVED)

    def hours(self, integral: int) -> Fraction:
        """Priced unit-hours of an integral over milliseconds."""
        return Fraction(integral, self.scale * HOUR)


CPU: Final = "cpu"
MEMORY: Final = "memory"
GPU: Final = "gpu"
STORAGE: Final = "storage"
LOAD_BALANCER: Final = "loadBalancer"
CONTROL_PLANE: Final = "controlPlane"
IDLE_CPU: Final = "idleCpu"
IDLE_MEMORY: Final = "idleMemory"

ITEMS: Final = {
    one.name: one
    for one in (
        Item(CPU, "CPU that pods request", 1000, "Core-Hours", CPU),  # millicores
        Item(MEMORY, "memory that pods request", GIB, "GiB-Hours", MEMORY),  # bytes
        Item(GPU, "GPUs that pods request", 1, "GPU-Hours", GPU),
        Item(STORAGE, "volumes", GIB, "GiB-Hours", STORAGE),  # bytes
        Item(LOAD_BALANCER, "Services of type LoadBalancer", 1, "Hours", LOAD_BALANCER),
        Item(CONTROL_PLANE, "a control plane that runs", 1, "Hours", CONTROL_PLANE),
        Item(IDLE_CPU, "CPU that the quota reserves and no pod requests", 1000, "Core-Hours", CPU),
        Item(IDLE_MEMORY, "memory that the quota reserves and no pod requests", GIB, "GiB-Hours", MEMORY),
    )
}

SLEEPS: Final = (CPU, MEMORY, GPU, CONTROL_PLANE)
"""What a cluster that sleeps does not ask for."""


def item(name: str) -> Item | None:
    """The item of this name, also of one storage class, or what sleep saved of one; None for a name of another version."""
    if name.startswith(SAVED):
        one = ITEMS.get(name.removeprefix(SAVED)) if name.removeprefix(SAVED) in SLEEPS else None
        return one and Item(name, f"{one.told}, saved by sleep", one.scale, one.unit, one.price)
    if name.startswith(PERCLASS):
        told = f"volumes of class {name.removeprefix(PERCLASS)}"
        return Item(name, told, GIB, "GiB-Hours", name)
    return ITEMS.get(name)
