"""`python .ci/lock.py FILE`: a lock that pip before 24.1 takes, too.

uv writes `NAME[EXTRA]==VERSION` where one package asks for an extra. Older pips then want a line for NAME alone as well, with the same
hashes, for the packages that ask without it (`--require-hashes`); newer ones take both.
"""

import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"(?m)^([a-z0-9._-]+)\[[a-z,]+\](==.*(?:\n .*)*\n)")


def plain(lock: str) -> str:
    """The lock with a line without extras before each line that has some."""
    return _BLOCK.sub(lambda found: f"{found[1]}{found[2]}{found[0]}", lock)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(plain(file.read_text(encoding="utf-8")), encoding="utf-8")
