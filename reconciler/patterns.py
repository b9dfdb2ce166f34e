"""Regular expressions that are compiled when they are first used: a verb loads a hundred and uses a few (G11)."""

import re
from typing import Any, AnyStr, cast


class Lazy:
    """A `re.Pattern` to be. What it is asked for it then keeps, so that the next call costs as much as that of a compiled one."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self.text, self.flags = text, flags

    def __getattr__(self, name: str) -> Any:
        """Every attribute of the compiled pattern. What Python asks for itself (`__deepcopy__`, `__setstate__`) is of this object: it is
        copied and pickled by its text, also before that is set."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(re.compile(self.text, self.flags), name)
        setattr(self, name, found)
        return found


def lazy(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile` makes, later: a wrong pattern fails at its first use (`tests/test_patterns.py` compiles all)."""
    return cast("re.Pattern[AnyStr]", Lazy(text, flags))
