"""The one error of the embedded host."""


class HostError(Exception):
    """One clear sentence saying what is wrong and what helps; verbs print it and exit with 1."""
