"""Traces of pushes for OpenTelemetry (U12), where an endpoint is configured: one trace a commit, from when it was seen until its
clusters were Ready, with a span for each stage and each pass over a cluster that it changed. Spans are made when the commit is Ready, or
when another one takes its place, and sent by a thread of the library: nothing waits for the receiver."""

import threading
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from reconciler import keyfiles
from reconciler.errors import UsageError
from reconciler.model import TracesConfig
from reconciler.report.view import SourceView

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

PASSES: Final = 500  # of one push
DEADLINE: Final = 10.0  # seconds for one request
LAST: Final = 2.0  # seconds that a stop gives what waits
SECRET: Final = 4096  # bytes of a token
MISSING: Final = "what sends traces is not installed"
HINT: Final = "pip install 'nidus-gitops[traces]', or remove spec.traces"


class Pass(Struct, frozen=True):
    """One pass over a cluster; times in seconds since the epoch, `word` what it was after it."""

    cluster: str
    begun: float
    ended: float
    word: str


class Traces:
    """Makes and sends them. For one thread at a time. Raises UsageError where that is not possible: the library or the token is missing."""

    def __init__(self, config: TracesConfig, instance: str) -> None:
        self._provider = _provider(config, instance)
        self._tracer = self._provider.get_tracer("nidus")
        self._passes: dict[str, tuple[str, list[Pass]]] = {}  # of the newest revision of each source
        self._early: dict[str, deque[tuple[str, Pass]]] = {}  # the last ones of other revisions, by source
        self._open: dict[str, SourceView] = {}

    def passed(self, read: SourceView, revision: str, one: Pass) -> None:
        """A pass is over: one of the push, if its revision is the newest of its source and changed the cluster. It may be quicker than the
        view that has the revision."""
        if read.revision != revision:
            self._early.setdefault(read.source, deque(maxlen=PASSES)).append((revision, one))
        elif one.cluster in read.changing:
            _, kept = self._passes.setdefault(read.source, (revision, []))
            if len(kept) < PASSES:
                kept.append(one)

    def source(self, after: SourceView) -> None:
        """The view of a source changed."""
        before = self._open.get(after.source)
        if before is not None and before.revision != after.revision:
            self._end(self._open.pop(after.source))
        newest, passes = self._passes.get(after.source, ("", []))
        if newest != after.revision:  # those of another revision are of no push any more
            early = self._early.pop(after.source, ())
            passes = [one for revision, one in early if revision == after.revision]
            self._passes[after.source] = after.revision, passes
        stages = dict(after.stages)
        if "seen" not in stages or "admitted" not in stages:
            return
        if "ready" in stages:
            if self._open.pop(after.source, None) is not None or passes:
                self._end(after)
        elif after.changing:
            self._open[after.source] = after

    def close(self) -> None:
        """Send what waits, for a moment, and end."""
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        last.join(LAST)

    def _end(self, one: SourceView) -> None:
        """Make the spans of a push."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        stages = sorted(one.stages, key=lambda stage: stage[1])
        _, passes = self._passes.pop(one.source, ("", []))
        self._passes[one.source] = one.revision, []
        times = [at for _, at in stages]
        ends = max([*times, *(each.ended for each in passes)])
        about = {"nidus.source": one.source, "nidus.revision": one.revision, "nidus.trigger": one.trigger}
        root = self._tracer.start_span("push", start_time=_nanoseconds(times[0]), attributes=about)
        if "ready" not in dict(one.stages):
            root.set_status(
                Status(StatusCode.ERROR, "another commit took its place before all of its clusters were Ready")
            )
        inside = set_span_in_context(root)
        for (_, begun), (name, ended) in pairwise(stages):
            self._span(name, inside, begun, ended, {})
        for each in passes:
            told = {"nidus.cluster": each.cluster, "nidus.status": each.word}
            self._span(f"pass {each.cluster}", inside, each.begun, each.ended, told)
        root.end(_nanoseconds(ends))

    def _span(self, name: str, inside: Any, begun: float, ended: float, about: Mapping[str, str]) -> None:
        made = self._tracer.start_span(name, context=inside, start_time=_nanoseconds(begun), attributes=dict(about))
        made.end(_nanoseconds(max(begun, ended)))


def opened(config: TracesConfig | None, instance: str) -> Traces | None:
    """What makes traces, where they are configured. Raises UsageError."""
    return Traces(config, instance) if config is not None else None


def _provider(config: TracesConfig, instance: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from requests import Session
    except ImportError:
        raise UsageError(MISSING, hint=HINT) from None
    session = Session()
    session.trust_env = False  # no proxy and no .netrc that somebody else wrote
    session.max_redirects = 0  # a post goes to the endpoint and no other address
    session.hooks["response"] = [_unread]
    exporter = OTLPSpanExporter(
        endpoint=f"{config.endpoint.rstrip('/')}/v1/traces", certificate_file=config.ca_file or None, headers=_headers(config),
        timeout=DEADLINE, session=session,
    )  # fmt: skip
    made = TracerProvider(resource=Resource({"service.name": "nidus", "service.instance.id": instance}))
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def _unread(response: Any, **given: object) -> None:
    """The library reads an answer whole, whose status alone counts: one without an end would fill our memory."""
    del given
    response.raw.close()


def _headers(config: TracesConfig) -> dict[str, str]:
    if not config.token_file:
        return {}
    try:
        content = keyfiles.read(Path(config.token_file), SECRET)
        token = content.decode("ascii").strip() if content is not None and len(content) <= SECRET else ""
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise UsageError(
            "the token of traces cannot be read, or its file holds more than one", hint="spec.traces.tokenFile"
        )
    return {"Authorization": f"Bearer {token}"}


def _nanoseconds(at: float) -> int:
    return round(at * 1e9)
