"""Nidus: GitOps for nested clusters."""

__version__ = "0.1.0"
