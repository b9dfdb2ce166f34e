"""Nested control planes of the embedded host: what starts where an engine's pod is scheduled."""

from pathlib import Path
from typing import Final

CHART: Final = Path(__file__).parent.parent / "chart"
"""The stand-in chart, version 0.36.1: the folder to name as the engine's chart on the embedded host."""
