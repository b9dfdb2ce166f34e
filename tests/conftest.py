"""Fixtures every test may use: embedded hosts, and the controller as it is installed (devhost.fixtures)."""

pytest_plugins = ["devhost.fixtures"]
