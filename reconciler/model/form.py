"""The form of everything that people write."""

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of all documents: immutable, camelCase outside, closed."""
