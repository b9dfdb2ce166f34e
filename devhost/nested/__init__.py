"""Nested control planes of the embedded host: what starts where an engine's pod is scheduled."""

import os
from pathlib import Path
from typing import Final

CHART: Final = Path(__file__).parent.parent / "chart"
"""The stand-in chart, version 0.36.1: the folder to name as the engine's chart on the embedded host."""


def chart() -> Path:
    """The folder of the engine's chart: the official one ($NIDUS_VCLUSTER_CHART) beside the real engine, else CHART."""
    official = os.environ.get("NIDUS_VCLUSTER_CHART") if os.environ.get("NIDUS_VCLUSTER") else None
    return Path(official).absolute() if official else CHART
