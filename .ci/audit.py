"""`python .ci/audit.py LOCK`: whether a known weakness is in a locked package. Exit code 1 for one; 0 where there is none or no data.

pip-audit asks the package index for what is known of each version. An index that does not answer, or does not know, is no reason to
stop a change: it is said, and the exit code is 0.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SECONDS = 120.0


def asked(lock: str, seconds: float = SECONDS) -> Any:
    """What pip-audit writes about the lock, parsed; None where it wrote nothing that can be read in time."""
    tool = [
        str(Path(sys.executable).with_name("pip-audit")),
        "--requirement",
        lock,
        "--require-hashes",
        "--disable-pip",
    ]
    words = [*tool, "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        return json.loads(subprocess.run(words, capture_output=True, timeout=seconds, check=False).stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def judged(answer: Any) -> tuple[int, list[str]]:
    """The exit code and what to print, from pip-audit's answer: {"dependencies": [{"name", "version", "vulns"} or {"name",
    "skip_reason"}]}."""
    if not isinstance(answer, dict) or not answer.get("dependencies"):
        return 0, ["audit: had no data: the package index gave no answer about known weaknesses"]
    known = [one for one in answer["dependencies"] if "skip_reason" not in one]
    found = [_told(one, weakness) for one in known for weakness in one["vulns"]]
    if len(known) < len(answer["dependencies"]):
        unknown = len(answer["dependencies"]) - len(known)
        found.append(f"audit: had no data about {unknown} of {len(answer['dependencies'])} packages")
    weak = sum(len(one["vulns"]) for one in known)
    return int(weak > 0), [*found, f"audit: {weak} known weaknesses in {len(known)} packages"]


def _told(package: dict[str, Any], weakness: dict[str, Any]) -> str:
    mended = ", ".join(weakness.get("fix_versions") or ()) or "no version yet"
    return f"{package['name']} {package['version']}: {weakness['id']}, mended in {mended}"


if __name__ == "__main__":
    code, lines = judged(asked(sys.argv[1]))
    print("\n".join(lines))
    raise SystemExit(code)
