"""A value with other fields."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace as replace  # to the type checker: it knows the fields of each value
else:
    import msgspec

    def replace(value, /, **fields):
        """A copy of a value in which these fields are others, as `copy.replace` of Python 3.13 makes it. Raises TypeError for a field
        that the value has not."""
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **fields)
        import dataclasses  # brings `inspect`, and few values are of them

        return dataclasses.replace(value, **fields)
