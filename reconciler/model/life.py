"""What a NestedCluster says of its life: suspended, asleep, backed up, restored, deleted. In the fields of the document."""

from reconciler.model.form import Struct


class Suspend(Struct, frozen=True):
    reason: str
    until: str = ""


class SleepTurn(Struct, frozen=True):
    sleep: str
    wake: str
    timezone: str = "UTC"


class Sleep(Struct, frozen=True):
    state: str = "Auto"
    schedule: tuple[SleepTurn, ...] = ()


class Location(Struct, frozen=True):
    type: str
    bucket: str
    endpoint: str
    region: str = "us-east-1"
    prefix: str = ""


class Retention(Struct, frozen=True):
    keep: int = 7
    period: str = ""


class Backup(Struct, frozen=True):
    location: Location
    credentials: str
    schedule: str = ""
    timezone: str = "UTC"
    retention: Retention = Retention()
    before_upgrade: bool = True


class RestoreFrom(Struct, frozen=True):
    credentials: str
    cluster: str = ""
    id: str = ""
    url: str = ""
    region: str = "us-east-1"


class Upgrade(Struct, frozen=True):
    steps: str = "None"


class Deletion(Struct, frozen=True):
    policy: str = "Retain"
    protect: bool = False
    grace: str = ""
    ttl: str = ""
