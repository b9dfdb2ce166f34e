"""What the documentation says, taken apart for the tests that hold it to the code."""

import ast
import gc
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted(
        [
            *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
            *(ROOT / name for name in ("devhost/README.md", "sample-repo/README.md")),
            *(ROOT / "docs").rglob("*.md"),
        ]
    )
)


@cache
def parsed(file: Path) -> ast.Module:
    """A module of ours, read once a process; the collector does not look through it from then on."""
    tree = ast.parse(file.read_text())
    gc.freeze()
    return tree


def marked(page: str, name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- end -->`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found, f"{page} has no part {name}"
    return found[1]


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def quoted(text: str) -> list[str]:
    """Everything in single backquotes."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def blocks(page: Path, *kinds: str) -> Iterator[str]:
    """The fenced blocks of these kinds."""
    for kind, body in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        if kind in kinds:
            yield body


def commands(page: Path) -> Iterator[str]:
    """Every command the page shows: those to be typed, and code within sentences."""
    yield from typed(page)
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from quoted(text)


def typed(page: Path) -> Iterator[str]:
    """Every command to be typed: lines of shell blocks, lines after `$ ` in consoles, indented lines. A line that ends in a
    backslash goes on."""
    for body in blocks(page, "sh"):
        yield from body.replace("\\\n", " ").splitlines()
    for body in blocks(page, "console"):
        yield from (line[2:] for line in body.splitlines() if line.startswith("$ "))
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from (line.strip() for line in text.splitlines() if line.startswith("    "))


def anchors(page: Path) -> set[str]:
    """What `#...` may follow the page's name in a link: a slug of each heading, as forges and the site's generator make it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    slugs = [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in plain]
    return {slug for slug in slugs if slugs.count(slug) == 1 and "--" not in slug}
