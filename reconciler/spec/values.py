"""Checks values of variables against their declaration."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from reconciler.model import Variable
from reconciler.plan import sensitive
from reconciler.spec import linear, semver, units

Problem = tuple[str, str]


def effective(declared: Sequence[Variable], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name: what the cluster gives, else the defaults; variables with neither are left out. Quantities are
    texts, also where they were written as numbers; of sensitive variables a mark stands for what they name."""
    found = {variable.name: variable.default for variable in declared if variable.default is not UNSET} | dict(given)
    found |= {one.name: sensitive.mark(found[one.name]) for one in declared if one.sensitive and one.name in found}
    numeric = [variable.name for variable in declared if variable.type == "quantity" and variable.name in found]
    return found | {name: units.written(found[name]) for name in numeric}


def misfit(variable: Variable, value: Any) -> str:
    """Why `value` does not fit this variable, "" if it does. The text does not contain the value. Raises
    linear.PatternError."""
    if variable.sensitive:
        return "" if sensitive.named(value) else "is sensitive, and may not stand in a file"
    expected = _TYPES[variable.type]
    if variable.type == "quantity":
        value = units.written(value)
    if not expected(value):
        return f"is not of type {variable.type}"
    if variable.enum and not any(_same(value, allowed) for allowed in _allowed(variable)):
        return "is none of the values allowed"
    if variable.pattern and not linear.whole(variable.pattern, str(value)):
        return f"does not match {variable.pattern}"
    if variable.minimum is not UNSET and value < variable.minimum:
        return f"is smaller than {variable.minimum:g}"
    if variable.maximum is not UNSET and value > variable.maximum:
        return f"is larger than {variable.maximum:g}"
    return ""


def example(kind: str) -> str:
    """How a value of this type is written, as a hint; "" for a type that needs none."""
    return _EXAMPLES.get(kind, "")


def declaration(variable: Variable) -> Iterator[Problem]:
    """(field, message) of everything in a declaration that does not fit together."""
    if variable.sensitive:
        yield from _secret(variable)
        return
    numeric = variable.type in ("integer", "number")
    for name, bound in (("minimum", variable.minimum), ("maximum", variable.maximum)):
        if bound is not UNSET and not numeric:
            yield name, f"only integers and numbers have a {name}"
            return
    if variable.pattern and (numeric or variable.type == "boolean"):
        yield "pattern", "only texts have a pattern"
        return
    try:
        linear.whole(variable.pattern, "")
    except linear.PatternError as error:
        yield "pattern", str(error)
        return
    if variable.required and variable.default is not UNSET:
        yield "default", "a required variable has no use for a default"
    if variable.default is not UNSET and (why := misfit(variable, variable.default)):
        yield "default", f"the default {why}"


def _secret(variable: Variable) -> Iterator[Problem]:
    bare = Variable(name=variable.name, sensitive=True)
    for name in ("type", "default", "enum", "pattern", "minimum", "maximum"):
        if getattr(variable, name) != getattr(bare, name):
            yield name, f"a sensitive variable is a text that nobody sees: it has no {name}"


def _allowed(variable: Variable) -> list[Any]:
    return [units.written(one) for one in variable.enum] if variable.type == "quantity" else list(variable.enum)


def _same(left: Any, right: Any) -> bool:
    """Equality for which true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _text(accepts: Callable[[str], object]) -> Callable[[Any], bool]:
    """A check that holds where `accepts` reads the text without ValueError."""

    def check(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            accepts(value)
        except ValueError:
            return False
        return True

    return check


def _version(text: str) -> object:
    return semver.version(re.sub(r"^v", "", text))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _whole,
    "number": lambda value: _whole(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "ip": _text(ipaddress.ip_address),
    "cidr": _text(ipaddress.ip_network),
    "version": _text(_version),
    "quantity": _text(units.quantity),
    "duration": _text(units.duration),
}
_EXAMPLES = {
    "string": "put it in quotes",
    "ip": "such as 10.0.0.1",
    "cidr": "such as 10.0.0.0/8",
    "version": 'such as "1.2.0", in quotes',
    "quantity": "such as 500m or 2Gi",
    "duration": "such as 30s, 5m or 1h30m",
}
