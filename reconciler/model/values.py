"""A value with other fields."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace as replace  # to the type checker: it knows the fields of each value
else:
    import dataclasses

    import msgspec

    def replace(value, /, **fields):
        """A copy of a value in which these fields are others, as `copy.replace` of Python 3.13 makes it. Raises TypeError for a field
        that the value has not."""
        change = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
        return change(value, **fields)
