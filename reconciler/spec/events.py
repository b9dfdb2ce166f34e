"""What `spec.yaml` reads a file with: libyaml's events, built into documents without recursion. Nothing else of a start needs libyaml."""

from collections.abc import Callable
from typing import Any

from yaml import YAMLError
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from reconciler.model import Document, Limits, Violation
from reconciler.spec import slips, syntax
from reconciler.spec.codes import Code
from reconciler.spec.scalars import FIRST, WORDS, ScalarError, resolve

_NO_KEY: Any = object()
_LETTERS = frozenset("yYnN")
_TOLD_AT_MOST = 100
_SPLIT = "split it, or raise spec.limits.{} in the controller's configuration"
Read = tuple[tuple[Document, ...], tuple[Violation, ...], bool]


def read(data: bytes, path: str, limits: Limits, largest: int) -> Read:
    """Documents, violations, and whether the file could be read to its end."""
    builder = _Builder(path, limits, largest)
    try:
        documents = builder.run(CParser(data))
    except _Stop:
        return (), tuple(sorted(builder.violations)), False
    except YAMLError as error:
        wrong = syntax.violation(error, data, path)
        return (), tuple(sorted([*builder.violations, wrong])), False
    return tuple(documents), tuple(sorted(builder.violations)), True


class _Stop(Exception):
    """Nothing after this place can be read."""


class _Builder:
    """One run over the events of one file; open containers are on a list, not on the call stack."""

    __slots__ = ("documents", "here", "key", "largest", "left", "limits", "path", "stack", "violations")

    def __init__(self, path: str, limits: Limits, largest: int) -> None:
        self.path = path
        self.largest = largest
        self.limits = limits
        self.violations: list[Violation] = []
        self.documents: list[Document] = []
        self.stack: list[tuple[Any, Any]] = []
        self.here: Any = None
        self.key: Any = _NO_KEY
        self.left = limits.nodes

    def run(self, parser: Any) -> list[Document]:
        """A start spends most of its time in this loop. Two of three events are scalars, so they are handled here."""
        next_event: Callable[[], Any] = parser.get_event
        steps: dict[type, Callable[[Any], None]] = {
            MappingStartEvent: self.start,
            SequenceStartEvent: self.start,
            MappingEndEvent: self.end,
            SequenceEndEvent: self.end,
            AliasEvent: self.alias,
            DocumentStartEvent: self.document,
            DocumentEndEvent: self.ignore,
            StreamStartEvent: self.ignore,
        }
        words, first, no_key, scalar, last = WORDS, FIRST, _NO_KEY, ScalarEvent, StreamEndEvent
        while (kind := type(event := next_event())) is not last:
            if kind is not scalar:
                steps[kind](event)
                continue
            value: Any = event.value
            if event.implicit[0] and (value in words or value[0] in first):
                value = self.plain(event)
            elif event.tag is not None:
                self.not_allowed(event)
            here = self.here
            if type(here) is not dict:
                self.item(event, value)
            elif self.key is not no_key:
                here[self.key] = value
                self.key = no_key
            elif type(value) is str and value not in here:
                self.key = value
            else:
                self.key = self.name(event, value)
            if event.anchor is not None:
                self.not_allowed(event)
        return self.documents

    def item(self, event: Any, value: Any) -> None:
        """A scalar in a list, or a whole document that is one."""
        self.count(event)
        if self.here is not None:
            self.here.append(value)
        elif value is not None:
            self.documents.append(Document(self.path, event.start_mark.line + 1, {"": value}, ""))

    def count(self, event: Any) -> None:
        """List items and collections count against the limit; the scalars of a mapping are counted with it when it ends."""
        self.left -= 1
        if self.left < 0:
            self.stop(event, Code.TOO_MUCH, f"more than {self.limits.nodes} values in one file", _SPLIT.format("nodes"))

    def start(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self.not_allowed(event)
        self.count(event)
        if len(self.stack) >= self.limits.depth:
            told = f"nested deeper than {self.limits.depth}"
            self.stop(
                event, Code.TOO_DEEP, told, "nest less, or raise spec.limits.depth in the controller's configuration"
            )
        if type(self.here) is dict and self.key is _NO_KEY:
            self.stop(event, Code.KEY, "a mapping key that is not a string", slips.AS_KEY if event.flow_style else "")
        self.stack.append((self.here, self.key))
        self.here, self.key = ({} if type(event) is MappingStartEvent else []), _NO_KEY
        if len(self.stack) == 1:
            body = self.here if type(self.here) is dict else {"": self.here}
            self.documents.append(Document(self.path, event.start_mark.line + 1, body, ""))

    def end(self, event: Any) -> None:
        value = self.here
        if type(value) is dict:
            self.left -= len(value)
            self.count(event)
        here, key = self.stack.pop()
        if type(here) is dict:
            here[key], key = value, _NO_KEY
        elif here is not None:
            here.append(value)
        self.here, self.key = here, key

    def ignore(self, _: Any) -> None:
        """Ends of documents and the start of the stream say nothing."""

    def alias(self, event: Any) -> None:
        self.stop(event, Code.NOT_ALLOWED, "aliases are not used here", "write the value out")

    def document(self, event: Any) -> None:
        if event.version or event.tags:
            self.stop(event, Code.NOT_ALLOWED, "directives are not used here", "remove the line starting with %")
        if len(self.documents) >= self.limits.documents:
            told = f"more than {self.limits.documents} documents in one file"
            self.stop(event, Code.TOO_MUCH, told, _SPLIT.format("documents"))

    def tell(self, event: Any, code: Code, message: str, hint: str = "") -> None:
        mark = event.start_mark
        if len(self.violations) < _TOLD_AT_MOST:
            self.violations.append(Violation(self.path, mark.line + 1, mark.column + 1, code, message, hint=hint))

    def stop(self, event: Any, code: Code, message: str, hint: str = "") -> None:
        self.tell(event, code, message, hint)
        raise _Stop

    def not_allowed(self, event: Any) -> None:
        what = "anchors are" if event.anchor is not None else "tags are"
        self.tell(event, Code.NOT_ALLOWED, f"{what} not used here", "write the value out")

    def plain(self, event: Any) -> Any:
        """A plain scalar that may be more than text. As a key, y and n are text and not booleans."""
        text, is_key = event.value, self.key is _NO_KEY and type(self.here) is dict
        if is_key and text == "<<":
            self.tell(event, Code.NOT_ALLOWED, "merge keys are not used here", "write the fields out")
        if text == "<<" or (is_key and text in _LETTERS):
            return text
        try:
            return resolve(text, self.largest)
        except ScalarError as error:
            self.tell(event, error.code, error.message, error.hint)
            return text

    def name(self, event: Any, value: Any) -> str:
        """A mapping key."""
        if type(value) is not str:
            self.tell(event, Code.KEY, "a mapping key that is not a string", f'write "{event.value[:40]}"')
            value = str(event.value)
        if value in self.here:
            self.tell(event, Code.DUPLICATE_KEY, f"the key {value[:60]} stands twice")
        return str(value)
