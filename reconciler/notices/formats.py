"""A post as a channel wants it. Pure. Texts of notices come from repositories and clusters: none of them can be markup, a link or a
mention."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from reconciler.errors import one_line, short
from reconciler.notices.pending import TEXT, Batch, Notice
from reconciler.plan.lines import stamp

API: Final = "nidus.dev/v1alpha1"


def generic(batch: Batch, place: str, made: str) -> bytes:
    """JSON of ours: each notice with its fields (docs/tasks/notify.md)."""
    notices = [_fields(one, place) for one in batch.shown]
    body = {"apiVersion": API, "kind": "Notices", "made": made, "count": batch.count, "lost": batch.lost}
    return msgspec.json.encode(body | {"notices": notices})


def slack(batch: Batch, place: str, made: str) -> bytes:
    """A message of an incoming webhook. Slack reads & < > as markup, and nothing else where `mrkdwn` is off, so links to clusters are
    lines of their own."""
    del made
    lines = [_title(batch), *(_line(one, place) for one in batch.shown), *_rest(batch)]
    body = {"text": "\n".join(map(_escaped, lines)), "mrkdwn": False, "link_names": False}
    return msgspec.json.encode(body | {"unfurl_links": False, "unfurl_media": False})


def teams(batch: Batch, place: str, made: str) -> bytes:
    """An Adaptive Card for a Teams workflow. A TextRun is plain text; a TextBlock would read it as Markdown."""
    del made
    runs = [_run(_title(batch), bolder=True), *(_run(_line(one, "")) for one in batch.shown), *map(_run, _rest(batch))]
    blocks = [{"type": "RichTextBlock", "inlines": [one]} for one in runs]
    links = [(one.cluster, place + one.cluster) for one in batch.shown if place and one.cluster]
    actions = [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in dict(links[:BUTTONS]).items()]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks, **({"actions": actions} if actions else {})}
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return msgspec.json.encode({"type": "message", "attachments": [attached]})


Format = Callable[[Batch, str, str], bytes]
BUTTONS: Final = 5
FORMATS: Final[Mapping[str, Format]] = {"generic": generic, "slack": slack, "teams": teams}
"""By the name in the configuration: a batch, where clusters are shown, and when it was made (RFC 3339)."""


def _fields(one: Notice, place: str) -> dict[str, Any]:

    texts = {
        "cluster": one.cluster,
        "source": one.source,
        "revision": one.revision,
        "message": one_line(one.message, TEXT),
    }
    link = {"url": place + one.cluster} if place and one.cluster else {}
    told = {key: text for key, text in texts.items() if text}
    return {
        "reason": one.reason,
        "warning": one.warning,
        "time": stamp(one.at),
        **told,
        **link,
        "labels": dict(one.labels),
    }


def _title(batch: Batch) -> str:
    wanting = sum(one.warning for one in batch.shown)
    what = f"{wanting} need somebody" if wanting else "nothing needs anybody"
    return f"Nidus: {batch.count} {'event' if batch.count == 1 else 'events'}, {what}"


def _line(one: Notice, place: str) -> str:
    at = f" ({short(one.revision)})" if one.revision else ""
    link = f" {place}{one.cluster}" if place and one.cluster else ""
    return f"{one.about}: {one.reason}: {one_line(one.message, TEXT)}{at}{link}"


def _rest(batch: Batch) -> list[str]:
    more, lost = batch.count - len(batch.shown), batch.lost
    told = [f"and {more} more"] if more else []
    return told + ([f"{lost} before this were not delivered"] if lost else [])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _run(text: str, *, bolder: bool = False) -> dict[str, str]:
    return {"type": "TextRun", "text": text, **({"weight": "Bolder"} if bolder else {})}
