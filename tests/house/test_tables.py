"""Every table of the code equals what the schemas accept and what the documentation lists."""

import ast
import re
import typing
from pathlib import Path

from prometheus_client import CollectorRegistry

import schemas
from reconciler import conditions, forges, health, packs
from reconciler.__main__ import VERBS
from reconciler.apply import object
from reconciler.model import PRUNING_WAITS, Action, Remote
from reconciler.packs.content import kinds
from reconciler.plan import lines
from reconciler.report.metrics import Metrics
from reconciler.spec.codes import MEANING
from tests.house import reasons
from tests.house.documents import ROOT, marked, parsed, quoted, rows
from webhook.answers import ANSWERS
from webhook.app import LIMIT
from webhook.attempts import EVERY, SIZE
from webhook.bounds import USUAL
from webhook.exchange import HEADERS
from webhook.forges import FORGES

PAGE = "docs/operations.md"
TROUBLE = "docs/troubleshooting.md"
PARTS = ("held", "sources", "rendering", "objects", "health", "records")
RECONCILER = ROOT / "reconciler"


def test_pack_kinds() -> None:
    pack = schemas.load("ClusterProfile")["definitions"]["pack"]
    assert {name for choice in pack["oneOf"] for name in choice["required"]} == set(packs.KINDS)
    for module in packs.KINDS.values():
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_kinds_of_content() -> None:
    assert set(typing.get_args(typing.get_type_hints(Remote)["kind"])) == set(kinds.KINDS)


def test_forges() -> None:
    source = schemas.load("ControllerConfig")["definitions"]["source"]["properties"]
    assert set(source["webhook"]["properties"]["provider"]["enum"]) == set(FORGES)
    assert set(source["forge"]["properties"]["provider"]["enum"]) == set(forges.FORGES)
    shared = {"__init__", "delivery", "githublike", "signing"}
    modules = {path.stem for path in (ROOT / "webhook/forges").glob("*.py")} - shared
    assert modules == {name.replace("-", "_") for name in FORGES}


def test_verbs() -> None:
    runnable = {path.stem for path in (RECONCILER / "verbs").glob("*.py") if "\ndef run(" in path.read_text()}
    assert runnable == set(VERBS)


def test_actions() -> None:
    actions = set(typing.get_args(Action))
    assert set(object._VERBS) == actions - {"hold", "skip", "unchanged"}
    assert set(lines.SYMBOLS) | lines.QUIET == actions


def test_codes_are_listed_with_what_to_do() -> None:
    table = rows(marked(TROUBLE, "codes"))
    assert [row[0] for row in table if len(row[2]) < 5] == []
    listed = {row[0]: row[1] for row in table}
    assert {code: meaning for code, meaning in listed.items() if code > "NID1"} == {
        code.value: meaning for code, meaning in MEANING.items()
    }
    assert {code for code in listed if code < "NID1"} == codes_of_source()


def codes_of_source() -> set[str]:
    """The codes in string literals of the room that reads Git."""
    files = (RECONCILER / "source").glob("*.py")
    return {code for file in files for code in re.findall(r'"(NID0\d\d)"', file.read_text())}


def test_words_are_listed() -> None:
    listed = [word for row in rows(marked(PAGE, "words")) for word in quoted(row[0])]
    assert sorted(listed) == sorted(conditions.WORDS)


def test_metrics_are_listed() -> None:
    registry: CollectorRegistry = Metrics().registry
    kept = {f"{one.name}_total" if one.type == "counter" else one.name: one.type for one in registry.collect()}
    assert {quoted(row[0])[0]: row[1] for row in rows(marked(PAGE, "metrics"))} == kept


def test_health_rules_are_listed() -> None:
    kept = {".".join(filter(None, reversed(key.split("/")))) for key in health.RULES}
    assert set(quoted(marked(PAGE, "rules"))) == kept


def test_reasons_of_holding_are_listed() -> None:
    listed = {word for row in rows(marked(TROUBLE, "held")) for word in quoted(row[0])}
    from_plans = {"NotOwner", "ClaimedTwice", "ImmutableField", "Grace", "Protected"}
    assert listed == held_reasons() - {"Invalid"} | from_plans  # Invalid is a status word of its own
    assert from_plans <= set(lines.REASONS)


def test_every_reason_is_listed_once_with_what_to_do() -> None:
    table = [row for part in PARTS for row in rows(marked(TROUBLE, part))]
    assert [row[0] for row in table if len(row) != 3 or not row[1] or not row[2]] == []
    listed = [word for row in table for word in quoted(row[0])]
    twice = {word for word in listed if listed.count(word) > 1}
    assert twice <= {"Invalid", "Unreachable", "Ready"}
    assert reasons.all_of_them() - set(listed) - conditions.WORDS == set()
    assert set(listed) - reasons.all_of_them() - held_reasons() - conditions.WORDS - {PRUNING_WAITS, "Absent"} == set()


def test_what_the_controller_logs_is_listed() -> None:
    section = (ROOT / PAGE).read_text().partition("## Logs and Events")[2].partition("\n## ")[0]
    assert reasons.logged() - set(quoted(section)) == set()


def held_reasons() -> set[str]:
    """The first argument, where it is a literal, of every `Held(...)` and of the helper that makes one in `fleet.release`."""
    found = set()
    for file in RECONCILER.rglob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Held", "_hold"):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def test_decisions_are_listed() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()
    files = {path.name for path in folder.glob("0*.md")}
    assert files == set(re.findall(r"\]\((0[^)]+)\)", index))
    assert len({name[:4] for name in files}) == len(files), (
        "one number, one record; records written at the same time may leave gaps"
    )


def test_dependencies_have_their_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=\[]", one)[0].lower() for one in wanted}
    told = Path(ROOT / "docs/decisions/0001-dependencies.md").read_text().lower()
    assert not {name for name in names if name not in told}


def test_the_bounds_of_the_listeners_are_told() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    section = page.partition("## The listeners")[2].partition("\n## ")[0]
    seconds = [f"{one:.0f} s" for one in (USUAL.header, USUAL.body, USUAL.queue, USUAL.answer, EVERY)]
    sizes = [f"{USUAL.header_size >> 10} KiB", f"{LIMIT >> 20} MiB", f"{USUAL.memory >> 20} MiB", f"{HEADERS} fields"]
    counts = [f"{USUAL.threads} threads", f"{USUAL.connections}; of one sender {USUAL.share}", f"{SIZE}, then one"]
    assert [one for one in seconds + sizes + counts if one not in section] == []
    assert USUAL.grace == 0.5 and "half a second" in section


def test_every_forge_has_a_page_that_tells_its_answers() -> None:
    pages = ROOT / "docs/tasks/webhooks"
    assert {file.stem for file in pages.glob("*.md")} == set(FORGES)
    index, site = (ROOT / "docs/tasks/webhook.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    for name in FORGES:
        text = (pages / f"{name}.md").read_text()
        told = {code for row in rows(text.partition("## What the answers mean")[2]) for code in [row[0]]}
        assert {"200", "202", "401", "404", "503"} <= told <= {str(code) for code in ANSWERS}, name
        assert f"nidus webhook send --forge {name} " in text and f"provider: {name}" in text, name
        assert f"webhooks/{name}.md" in index and f"docs/tasks/webhooks/{name}.md" in site, name


def test_the_answers_of_the_webhook_are_told() -> None:
    assert {int(row[0]): row[1] for row in rows(marked("docs/tasks/webhook.md", "answers"))} == ANSWERS
