"""The documentation is true: its commands, links, targets and examples exist."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import yaml

from reconciler.__main__ import VERBS
from reconciler.spec import schema
from reconciler.verbs import usage
from tests.house.documents import PAGES, ROOT, anchors, blocks, commands, typed

VARIABLES = re.compile(r"\$\{\{.*?\}\}")
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@cache
def parser_of(verb: str) -> argparse.ArgumentParser:
    parser = usage.Parser(prog=f"nidus {verb}")
    importlib.import_module(f"reconciler.verbs.{verb}").add_arguments(parser)
    return parser


def flags(parser: argparse.ArgumentParser) -> set[str]:
    """Every flag of a verb, those of its sub-verbs included."""
    found = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= flags(inner)
    return found


def calls(lines: Iterable[str]) -> list[list[str]]:
    """The words after `nidus` of every call in these lines, up to what ends a command; [...] and | of synopses left out."""
    found = []
    for line in lines:
        for call in re.findall(r"(?:^|(?<!helm install)(?<!helm upgrade)[\s(/])nidus ([a-z].*)", line):
            plain = re.sub(r"[\[\]]", " ", re.split(r"[)&;>#]| \| ", call)[0]).split("  ")[0]
            found.append(shlex.split(plain.replace("\\|", " ").replace("|", " "), posix=True))
    return [words for words in found if words]


@named
def test_every_command_to_be_typed_is_one(page: Path) -> None:
    for words in calls(typed(page)):
        if words[0].startswith("-"):
            continue
        try:
            unknown = parser_of(words[0]).parse_known_args(words[1:])[1]
        except SystemExit:
            unknown = ["see above"]
        assert unknown == [], f"nidus {' '.join(words)}"


@named
def test_every_call_names_a_verb_and_its_flags(page: Path) -> None:
    for words in calls(commands(page)):
        if words[0] == "--help":
            continue
        assert words[0] in VERBS, f"nidus {' '.join(words)}"
        known = flags(parser_of(words[0]))
        given = {word.split("=")[0] for word in words[1:] if word.startswith("-") and len(word) > 1}
        assert given <= known, f"nidus {' '.join(words)}: {given - known}"


def test_calls_are_found() -> None:
    found = calls(typed(ROOT / "README.md"))
    assert ["status"] in found
    assert len(found) > 10


@named
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            led = page.parent / name if name else page
            assert led.exists(), target
            assert not anchor or anchor in anchors(led), target


@named
def test_a_table_and_a_list_begin_after_an_empty_line(page: Path) -> None:
    """The site's generator takes them for words of the paragraph before otherwise."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for paragraph in re.findall(r"^(?![|#<]|[-*] )\S.*\n(?:\|.*|[-*] .*)$", text, re.MULTILINE):
        raise AssertionError(f"{page.name}: an empty line is missing in: {paragraph}")


@named
def test_every_target_is_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands(page):
        for target in re.findall(r"^(?:\w+=\S+ )?make ([a-z-]+)", line):
            assert target in targets, target


@named
def test_every_file_named_in_code_exists(page: Path) -> None:
    folders = {
        "reconciler",
        "webhook",
        "schemas",
        "devhost",
        "deploy",
        "tests",
        "bench",
        "docs",
        "sample-repo",
        "examples",
        ".ci",
    }
    path = re.compile(r"(?<![\w./:-])([\w.-]+/[\w./*<>-]*[\w/*>])")
    for line in commands(page):
        for name in path.findall(line):
            if name.split("/")[0] in folders and "NAME" not in name and not set(name) & set("*<"):
                assert (ROOT / name).exists(), name


@named
def test_every_document_of_ours_is_valid(page: Path) -> None:
    for body in blocks(page, "yaml"):
        for document in yaml.safe_load_all(VARIABLES.sub("x", body)):
            assert isinstance(document, dict | list), body
            if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("nidus.dev/"):
                assert schema.check(document) == []


def test_the_smallest_cluster_is_the_one_of_the_sample() -> None:
    shown = next(blocks(ROOT / "README.md", "yaml"))
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "sample-repo/clusters/sandbox.yaml").read_text())


def test_set_up_stands_in_the_first_lines() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:6]
    assert any(line.startswith("make demo") for line in first) and any(line.startswith("make test") for line in first)


def test_nothing_of_a_machine_is_in_the_documentation() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.-])/(work|home|root|tmp)/", page.read_text(encoding="utf-8")), page
