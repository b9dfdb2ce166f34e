"""README's tour: its lines, typed one by one into a fresh shell beside the demo, print what the page shows (D3). Its lines for a
repository of one's own lead to a cluster, and `nidus why` follows a crash inside of that down to the pod."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path

import pytest

from devhost import lifecycle, tools
from tests.house.documents import ROOT, blocks

pytestmark = [pytest.mark.host, pytest.mark.long]

COLUMNS = 140
DEMO_SECONDS = 400.0
LINE_SECONDS = 60.0
READS = re.compile(r"(nidus (status|why)|kubectl \S+ \S+ get)\b")
"""Commands that change nothing. What a push does takes a moment, so they are repeated until they print what the page shows."""

NAMES = re.compile(r"(?<=sha1:)[0-9a-f]{7}\b|(?<=approve )[0-9a-f]{64}\b|(?<=approved )[0-9a-f]{12}\b")
"""What is another in each run, and in commands typed after: abbreviated commits, and digests of what is held."""
CHANGING = {
    r"\(combined from similar events\): ": "",
    r"\x1b\[[0-9;?]*[a-zA-Z]": "",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z| UTC)": "TIME",
    r"\b\d+(\.\d+)?[smh]\b": "AGE",
    r"\b(pid|process) \d+": r"\1 N",
    r"\S+(?= leads since)": "PROCESS",
    r"\bweb-[a-z0-9]{8,10}(-[a-z0-9]{5})?\b": "web-POD",
}


@dataclass(frozen=True)
class Step:
    """A command of the page, and the lines it shows below; `...` stands for any lines."""

    command: str
    shown: list[str]


def steps() -> list[Step]:
    """The commands of README's tour, in order."""
    tour = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## A tour\n")[2].partition("\n## ")[0]
    found: list[Step] = []
    for kind, body in re.findall(r"^```(\w+)\n(.*?)^```", tour, re.MULTILINE | re.DOTALL):
        for line in body.splitlines():
            if kind == "sh" or line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), []))
            else:
                found[-1].shown.append(line)
    return found


@dataclass
class Reader:
    """Compares what was printed with what the page shows, word by word, because columns and folded lines depend on the terminal; and
    remembers which name stands for which."""

    root: Path
    names: dict[str, str] = field(default_factory=dict)

    def typed(self, command: str) -> str:
        """The page's command with the names of this run."""
        return NAMES.sub(lambda found: self.names.get(found[0], found[0]), command)

    def agrees(self, shown: list[str], printed: str) -> bool:
        """Whether all of it agrees; a name that is new is remembered then."""
        words = self._plain(printed.replace(str(self.root), "~/nidus"))
        pattern = " ".join(".*" if line == "..." else self._pattern(line) for line in shown if line)
        found = re.fullmatch(pattern, words, re.DOTALL)
        if found is None:
            return False
        told = [name for line in shown for name in NAMES.findall(line)]
        pairs = list(zip(told, found.groups(), strict=True))
        known = self.names | dict(pairs)
        if any(known[name] != one for name, one in pairs) or len({*known.values()}) < len(known):
            return False
        self.names = known
        return True

    def _pattern(self, line: str) -> str:
        """A pattern with one group for each name."""
        plain = self._plain(line)
        parts = [re.escape(part) for part in NAMES.split(plain)]
        return "([0-9a-f]+)".join(parts)

    def _plain(self, text: str) -> str:
        for pattern, kept in CHANGING.items():
            text = re.sub(pattern, kept, text)
        return " ".join(text.split())


class Shell:
    """A fresh bash whose output is a terminal's: nothing of this process's environment is in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.output, terminal = pty.openpty()
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [*fresh(home), "bash", "--noprofile", "--norc"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)

    def type(self, command: str) -> tuple[str, int]:
        """What the command prints and its exit code."""
        assert self.process.stdin
        self.process.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\0%d\\0' $?\n".encode())
        self.process.stdin.flush()
        read = b""
        while read.count(b"\0") < 2:
            read += os.read(self.output, 65536)
        printed, code, _ = read.replace(b"\r\n", b"\n").split(b"\0")
        return printed.decode(), int(code)

    def close(self) -> None:
        self.process.communicate(timeout=30)
        os.close(self.output)


def fresh(home: Path) -> list[str]:
    """What starts a command in an environment of its own: a PATH with the machine's programs, and an empty home."""
    places = dict.fromkeys(str(Path(shutil.which(one) or "/bin/sh").parent) for one in ("git", "make", "bash", "sed"))
    return ["env", "-i", f"PATH={os.pathsep.join(places)}", f"HOME={home}", "TERM=xterm"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project's folder as after a clone and `make host`, without what a demo before left in it."""
    folder = tmp_path / "nidus"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".nidus", ".venv", ".git"}:
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv" / ".installed").touch()  # nothing is to be installed, whatever the times of the files say
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with nothing but the tools that are built once a machine."""
    (tmp_path / "home" / ".cache" / "nidus").mkdir(parents=True)
    (tmp_path / "home" / ".cache" / "nidus" / "tools").symlink_to(tools.cache())
    return tmp_path / "home"


@pytest.fixture
def demo(clone: Path, home: Path) -> Iterator[Path]:
    """The demo, started by the first command of README.md, and ended by Ctrl-C; its output so far is in this file."""
    command = next(blocks(ROOT / "README.md", "sh")).splitlines()[0]
    assert command.startswith("make demo")
    log = clone.parent / "demo.log"
    with log.open("wb") as output:
        words = [*fresh(home), "bash", "-c", command]
        process = subprocess.Popen(words, cwd=clone, stdout=output, stderr=output, start_new_session=True)
    try:
        ends = time.monotonic() + DEMO_SECONDS
        while "until Ctrl-C." not in log.read_text():
            assert process.poll() is None and time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
        yield log
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) is not None
    assert "Goodbye" in log.read_text()


@pytest.mark.timeout(int(DEMO_SECONDS + 300))
def test_the_tour_prints_what_it_shows(demo: Path, clone: Path, home: Path) -> None:
    shell, reader = Shell(clone, home), Reader(clone)
    found = steps()
    wrong = [told for step in found if (told := differs(shell, reader, step))]
    assert not wrong, "\n\n".join(wrong)
    assert shell.type("command -v kubectl")[0].strip() == str(clone / ".nidus/demo/bin/kubectl")
    shell.close()
    (shown,) = re.findall(r"The dashboard, for this machine alone: (http://127\.0\.0\.1:\d+)", demo.read_text())
    assert b"team-a-prod" in urllib.request.urlopen(shown, timeout=60).read()
    told = re.findall(r"^  (?!export|cd )(\S.*)", demo.read_text().partition("What to type next")[2], re.MULTILINE)
    assert len(told) > 5 and {*told} <= {step.command for step in found}, "the demo and README.md tell other commands"


CRASHING = """\
apiVersion: nidus.dev/v1alpha1
kind: ClusterProfile
metadata: {name: shop}
spec:
  version: 1.0.0
  packs:
    - name: web
      namespace: apps
      manifests:
        objects:
          - apiVersion: apps/v1
            kind: Deployment
            metadata: {name: nginx}
            spec:
              selector: {matchLabels: {app: nginx}}
              template:
                metadata: {labels: {app: nginx}, annotations: {nidus.dev/behaviour: crash-looping}}
                spec: {containers: [{name: nginx, image: "nginx:1.27"}]}
"""
CAUSES = r"""
  blocked +layer shop/web on local/dev \w+( for \w+)?
    Deployment apps/nginx 0/1( for \w+)?
      ReplicaSet apps/nginx-\w+ 0/1( for \w+)?
        Pod apps/nginx-\w+-\w+ CrashLoopBackOff( for \w+)? \(\d+ restarts?\), image nginx:1\.27: ended with exit code 1"""


def test_a_repository_of_ones_own(clone: Path, home: Path) -> None:
    (home / ".gitconfig").write_text("[user]\nname = me\nemail = me@example.com\n")
    *before, run = own()
    assert run == "nidus run --repo ."
    first, second = Shell(clone, home), Shell(clone, home)
    try:
        first.type(f"export PATH=$PATH:{tools.find('kubectl').parent}")
        assert [(line, told) for line in before if (told := first.type(line))[1]] == []
        first.type(f"{run} >{clone.parent}/run.log 2>&1 & controller=$!")
        for line in before:
            if "export " in line or line.startswith("cd "):
                second.type(line)
        second.type("cd ~/clusters")
        assert_comes(second, "nidus wait dev", "dev Ready at main@sha1:")
        (home / "clusters" / "profiles" / "shop.yaml").write_text(CRASHING)
        second.type(r"printf '  - {name: shop, version: 1.0.0}\n' >>clusters/dev.yaml")
        second.type("git add --all && git commit -qm 'A shop'")
        assert_comes(second, "COLUMNS=200 nidus why dev | cat", CAUSES)
        first.type("kill -INT $controller; wait $controller")
    finally:
        Shell.close(second)
        lifecycle.down(clone / ".nidus" / "host")
        Shell.close(first)


def own() -> list[str]:
    """README's lines for a repository of one's own on the embedded host, without what is said beside them."""
    about = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## The embedded host\n")[2]
    found = re.search(r"^```sh\n(.*?)^```", about, re.MULTILINE | re.DOTALL)
    assert found
    return [line.partition("   ")[0].rstrip() for line in found[1].splitlines()]


def assert_comes(shell: Shell, command: str, pattern: str) -> None:
    """Type the command until it prints what is asked for."""
    ends = time.monotonic() + LINE_SECONDS
    while not re.search(pattern, printed := shell.type(command)[0].replace("\r", "")):
        assert time.monotonic() < ends, printed
        time.sleep(0.2)


def differs(shell: Shell, reader: Reader, step: Step) -> str:
    """Type one command: what is wrong where it does not print, in time, what the page shows."""
    command = reader.typed(step.command)
    printed, code = shell.type(command)
    ends = time.monotonic() + LINE_SECONDS
    while not reader.agrees(step.shown, printed) and READS.match(command) and time.monotonic() < ends:
        time.sleep(0.2)
        printed, code = shell.type(command)
    if not reader.agrees(step.shown, printed):
        return "\n".join((f"$ {command}", printed, "README.md shows:", *step.shown))
    expected = 1 if command == "nidus validate" else 0  # the page says so: there are mistakes
    return "" if code == expected else f"{command} ended with {code}"
