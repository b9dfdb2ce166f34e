"""Fixtures every test may use: embedded hosts, and the controller as it is installed (devhost.fixtures)."""

import gc
import os
import re
import signal
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from devhost import hosting, lifecycle
from devhost.hosting import TestHost
from reconciler.__main__ import COLLECTED
from tests.examples import FEW, LONG
from tests.object_store import ObjectStore

pytest_plugins = ["devhost.fixtures"]

PURE = {"fleet", "spec", "usage", "operations", "engine", "plan", "conditions", "health", "model", "errors"}
BESIDES = {"bench", "devhost", "socket", "subprocess", "threading", "webhook"}
TESTS = Path(__file__).parent
IMPORT = re.compile(r"^(?:from|import) ([\w.]+)(?: import (\w+))?", re.MULTILINE)

# A busy machine fails no test: no deadline, no complaint about slow data. An ordinary run draws the same examples each time; a failure
# prints what repeats it. `make test-long` draws more, and `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    print_blob=True,
    max_examples=FEW,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("same"), max_examples=LONG)
settings.register_profile("explore", settings.get_profile("same"), derandomize=False, max_examples=1000)
settings.load_profile("same")

# A shell starts what it puts into the background with SIGINT ignored, which children inherit: Ctrl-C would do nothing in any of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m core ...` does not even import the other tests."""
    first = str(config.option.markexpr).split(" ")[0]
    other = (
        collection_path.name.startswith("test_") and collection_path.suffix == ".py" and not is_core(collection_path)
    )
    return True if first == "core" and other else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of nothing but the pure rooms are `core`: all of them together take seconds, and no file, clock or process."""
    for item in items:
        if is_core(item.path):
            item.add_marker(pytest.mark.core)
        if item.get_closest_marker("xdist_group"):
            continue
        if "object_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("object_store"))
        elif item.path.parent.name == "house":
            item.add_marker(pytest.mark.xdist_group("house"))  # one worker reads every module of ours
        elif has_own(item):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    if hasattr(config, "workerinput"):
        items[:] = spread(items)


def spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests of hosts wait for most of their time: in a row they leave the processors idle, between others they do not. Groups begin first
    anyway. The last tenth is of others alone, which are short: no worker has a long one left while the others are done."""
    grouped = [one for one in items if one.get_closest_marker("xdist_group")]
    single = [one for one in items if not one.get_closest_marker("xdist_group")]
    waits = [one for one in single if one.get_closest_marker("host")]
    rest = [one for one in single if not one.get_closest_marker("host")]
    step = 0.9 * len(rest) / max(1, len(waits))
    placed = [*((float(at), one) for at, one in enumerate(rest)), *((at * step, one) for at, one in enumerate(waits))]
    return [*grouped, *(one for _, one in sorted(placed, key=lambda found: found[0]))]


def pytest_collection_finish() -> None:
    """Collected tests and modules stay to the end: looking through them again and again is a tenth of the run. The threshold is that of
    our verbs (`reconciler/__main__.py`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED)


def has_own(item: pytest.Item) -> bool:
    """Whether it uses a fixture of its module: one worker makes that and runs all of them."""
    found = getattr(item, "_fixtureinfo", None)
    return found is not None and any(one.scope == "module" for many in found.name2fixturedefs.values() for one in many)


@pytest.fixture(scope="session")
def spare_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHost]:
    """A host of group `spare_host` alone, whose tests break it, pause parts of it and leave things on it, one after the other."""
    folder = tmp_path_factory.mktemp("spare") / "host"
    yield hosting.start(folder, nodes=1, nested="none")
    lifecycle.down(folder)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """The server behind `store`; one worker starts it and runs all tests that use it."""
    made = ObjectStore("backups")
    yield made
    made.close()


@pytest.fixture
def store(object_store: ObjectStore) -> ObjectStore:
    """A real S3 server whose bucket `backups` is empty."""
    object_store.empty()
    return object_store


@cache
def is_core(file: Path) -> bool:
    """Whether a test module, with what it imports of tests/, imports pure rooms and nothing else of the product, and starts nothing."""
    found, rooms = imported(file), {name for name in imported(file) if name.startswith("reconciler.")}
    return bool(rooms) and rooms <= {f"reconciler.{one}" for one in PURE} and not found & BESIDES


@cache
def imported(file: Path) -> frozenset[str]:
    """The rooms `reconciler.ROOM` and the other packages that a module of tests/ imports, itself or by another module of tests/."""
    found, seen, left = set[str](), set[Path](), [file]
    while left:
        seen.add(one := left.pop())
        rooms, modules = read(one)
        found |= rooms
        left += modules - seen
    return frozenset(found)


@cache
def read(file: Path) -> tuple[frozenset[str], frozenset[Path]]:
    """What this module itself imports: rooms and other packages, and modules of tests/."""
    rooms, modules = set[str](), set[Path]()
    for name, what in IMPORT.findall(file.read_text()):
        first, *rest = name.split(".")
        if first == "tests":
            modules |= of_tests(*rest) | of_tests(*rest, what)
        else:
            rooms.add(f"reconciler.{rest[0] if rest else what}" if first == "reconciler" else first)
    return frozenset(rooms), frozenset(modules)


@cache
def of_tests(*names: str) -> frozenset[Path]:
    path = TESTS.joinpath(*names)
    return frozenset(place for place in (path.with_suffix(".py"), path / "__init__.py") if place.is_file())


# Where everything a test may need was installed (`.ci/run`), a skip is a failure: NIDUS_REQUIRE=all. What nobody may fetch, the official
# engine and images, is named by these variables, and what needs them may still be skipped.
GIVEN = ("NIDUS_VCLUSTER", "NIDUS_TEKTON_IMAGES")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("NIDUS_REQUIRE") == "all":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(name in reason for name in GIVEN):
            report.outcome, report.longrepr = "failed", f"NIDUS_REQUIRE=all: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many hostile inputs were tried, over all processes of the run."""
    told = [dict(one.user_properties) for one in terminalreporter.getreports("passed")]
    tried = [one["fuzz"] for one in told if "fuzz" in one]
    if tried:
        cases, seconds = sum(int(one[0]) for one in tried), sum(float(one[1]) for one in tried)
        terminalreporter.write_line(f"fuzz: {cases} cases on {len(tried)} surfaces, {seconds:.0f} s of processor time")
