"""Documents that SOPS encrypted (packs.md K12): how they are told from others, and which of them are not read.

The form is that of SOPS 3 for YAML: leaves are `ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]`, and the key `sops` at the root of each
document of a file holds the same block (https://getsops.io/docs, stores/stores.go).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.patterns import lazy
from reconciler.plan import secretdata
from reconciler.spec.codes import Code

FIELD = "sops"
MARK = b"ENC[AES256_GCM,"
VALUE = lazy(
    r"ENC\[AES256_GCM,data:(?P<data>[A-Za-z0-9+/]*={0,2}),iv:(?P<iv>[A-Za-z0-9+/]{11,170}={0,2}),"
    r"tag:(?P<tag>[A-Za-z0-9+/]{22}==),type:(?P<type>str|int|float|bool)\]"
)
RECIPIENTS = 64
"""Age keys of one file."""
_ONLY_DATA = "encrypt data and stringData of Secrets only: sops --encrypt --encrypted-regex '^(data|stringData)$'"
_WITH_AGE = "encrypt it for age keys: sops --encrypt --age age1..."
_AGAIN = "encrypt the file again with sops"

Mistake = tuple[tuple[str | int, ...], Code, str, str]


def is_encrypted(body: Any) -> bool:
    """Whether a document says that SOPS encrypted it."""
    block = body.get(FIELD) if isinstance(body, Mapping) else None
    return isinstance(block, Mapping) and "mac" in block


def is_value(value: Any) -> bool:
    """Whether a leaf is encrypted."""
    return isinstance(value, str) and value.startswith("ENC[") and VALUE.fullmatch(value) is not None


def bare(body: Any) -> Any:
    """The document without the block of SOPS."""
    return {key: one for key, one in body.items() if key != FIELD} if is_encrypted(body) else body


def mistakes(body: Any, objects: bool) -> Iterator[Mistake]:
    """What is not read of an encrypted document, as objects or (not `objects`) as values of a chart; of its values the first one."""
    if not is_encrypted(body):
        return
    yield from _block(body[FIELD])
    sealed = ((where, leaf) for where, leaf in leaves(bare(body)) if isinstance(leaf, str) and leaf.startswith("ENC["))
    for where, leaf in sealed:
        if not is_value(leaf):
            yield where, Code.ENCRYPTED, "not a value that SOPS encrypted as text, number or switch", _AGAIN
            return
        if objects and not _in_secret(body, where):
            yield where, Code.ENCRYPTED, "an encrypted value outside the data of a Secret", _ONLY_DATA
            return


def _block(block: Mapping[str, Any]) -> Iterator[Mistake]:
    age = block.get("age")
    if block.get("key_groups"):
        yield (FIELD,), Code.ENCRYPTED, "the key of the file is split over groups of keys", _WITH_AGE
    elif not isinstance(age, list) or not age:
        yield (FIELD,), Code.ENCRYPTED, "the file is encrypted for no age key", _WITH_AGE
    elif len(age) > RECIPIENTS:
        yield (FIELD, "age"), Code.ENCRYPTED, f"the file is encrypted for more than {RECIPIENTS} age keys", _WITH_AGE
    elif not all(isinstance(one, Mapping) and isinstance(one.get("enc"), str) for one in age):
        yield (FIELD, "age"), Code.ENCRYPTED, "the block of SOPS is damaged", _AGAIN


def leaves(body: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every leaf and its place, in the order of the document."""
    if isinstance(body, Mapping):
        for key, one in body.items():
            yield from leaves(one, (*where, key))
    elif isinstance(body, list | tuple):
        for index, one in enumerate(body):
            yield from leaves(one, (*where, index))
    else:
        yield where, body


def _in_secret(body: Any, where: tuple[str | int, ...]) -> bool:
    """Whether a place lies below data or stringData of a Secret, which may be an item of a list."""
    while where[:1] == ("items",) and len(where) > 2 and secretdata.listed(body):
        body, where = body["items"][where[1]], where[2:]
    return secretdata.is_secret(body) and len(where) == 2 and where[0] in secretdata.DATA
