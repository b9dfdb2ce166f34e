"""The growth of a control plane's volumes."""

from msgspec import Struct

from reconciler.model.flow import ObjectRef


class Claim(Struct, frozen=True):
    """A claim as it is: what it asks for, and what it has ("" while it has none)."""

    ref: ObjectRef
    uid: str
    asks: str
    has: str = ""


class Volumes(Struct, frozen=True):
    """What a document asks of claims that were made smaller; `refused`: why they cannot grow, "" where they can; `unread`: that is not
    known now."""

    asked: str
    claims: tuple[Claim, ...] = ()
    refused: str = ""
    unread: bool = False
