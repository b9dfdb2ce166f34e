"""The comment on a change request: the verdict, how much is touched, then one part to open per cluster. An equal plan gives an equal
text, but for the time of the live state."""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from msgspec import Struct

from reconciler.errors import few, printable
from reconciler.model import CONSENTED, DESTRUCTIVE, Change, Difference, Planned, Review, replace
from reconciler.patterns import lazy
from reconciler.plan import summary
from reconciler.plan.flags import RESTARTS, VOLUME
from reconciler.plan.lines import SYMBOLS, Style, instant, show
from reconciler.plan.render_markdown import Block, code, details, shown

LIMIT = 65_000  # characters of the whole; GitHub takes 65,536
FRAME = 2_000  # characters of the marker, of what was before, and of the result after the merge
TOLD = 1_000  # characters of what the result says of a cluster
SHORT = 12  # digits of a digest
ROWS = 20  # versions and quotas that are named
LINE = 200  # characters of one
MOST = 5  # digests of what is held that are named
STAGES = {"admitted": "applied from", "ready": "Ready"}
BEGIN, END = "<!-- nidus result -->", "<!-- nidus result end -->"
_RESULT = lazy(f"^{BEGIN}\n.*?\n{END}\n\n", re.DOTALL)
_MARKER = lazy(r"<!-- nidus (\S{1,600}) plan=([0-9a-f]{64}) text=([0-9a-f]{64}) -->\n")


class Found(Struct, frozen=True):
    """What a comment of ours says of itself: which plan it shows, and whether it is as some controller of this installation wrote it."""

    plan: str
    whole: bool


def verdict(planned: Planned) -> tuple[str, str]:
    """The state of the status, and the first line in words."""
    branch = printable(planned.change.base)
    if planned.problem:
        return "failure", f"Nothing is planned: {printable(planned.problem)}"
    if planned.conflicts:
        return "failure", f"Nothing is planned: merging into {branch} conflicts in {_few(planned.conflicts)}"
    if planned.review is None:
        return "pending", "Only documents are compared, nothing is planned: the author may not write to this repository"
    totals = summary.totals(planned.review)
    if totals.failed:
        return "failure", f"The plan is not whole. {summary.line(totals)}"
    if planned.consent.items:
        return "success", f"{_destroyed(planned.review, len(planned.consent.items))}. {summary.line(totals)}"
    if totals.waits:
        return "success", f"Something waits for a human. {summary.line(totals)}"
    return "success", summary.line(totals) if totals.moves else "Nothing changes"


def _destroyed(review: Review, items: int) -> str:
    """What people have to consent to, in words: a cluster that goes is one item, however many objects go with it."""
    stay = [one.plan for one in review.clusters if one.plan and not one.tombstone]
    objects = sum((each.would or each.action) in CONSENTED for plan in stay for each in plan.changes)
    removed = sum(one.tombstone is not None for one in review.clusters)
    told = [f"removes {summary.many(removed, 'cluster')}"] if removed else []
    if objects or not removed:
        told.append(f"deletes, replaces or takes over {summary.many(objects or items, 'object')}")
    text = "; ".join(told)
    return text[0].upper() + text[1:]


def seal(salt: bytes, owner: str, number: int) -> bytes:
    """The key of the comments on one change request: who may edit them has no salt of this installation, and makes none that counts."""
    place = b"\0".join([b"comment of a change request", owner.encode(), str(number).encode()])
    return hmac.new(salt, place, hashlib.sha256).digest()


def render(planned: Planned, owner: str, key: bytes, before: str = "") -> str:
    """The comment. `owner` says whose it is (NAMESPACE/SOURCE), `key` is the `seal` of it, `before` which plan the comment showed last,
    "" for none."""
    return _sealed(_body(planned, before), owner, key, plan(planned))


def plan(planned: Planned) -> str:
    """The digest of all that a reader is told, but for times, commits and who approved: equal plans are not planned anew for a reader."""
    head = planned.change.head if planned.differences else ""
    change = replace(planned.change, head=head, updated=0.0, files="")
    review = planned.review and replace(planned.review, at=0.0, revision=replace(planned.review.revision, commit=""))
    return _digest(_body(replace(planned, change=change, base="", review=review, approved=()), ""))


def read(body: str, owner: str, key: bytes) -> Found | None:
    """What a comment says of itself; None where it is not ours."""
    body = body.replace("\r\n", "\n")
    found = _MARKER.match(body)
    if found is None or found[1] != owner:
        return None
    return Found(found[2], hmac.compare_digest(_proof(body[found.end() :], key, found[2]), found[3]))


def result(
    commit: str, told: str, stages: Mapping[str, float], who: str, held: Sequence[str], alone: Sequence[str] = ()
) -> str:
    """What became of a merge: `told` in words, with the times of its `stages` (seen, admitted, ready; in seconds since the epoch), who had
    approved it, the digests of what is `held`, and of what an operator `alone` approves."""
    lines = [f"### {code(f'Merged as {commit[:SHORT]}: {printable(told)[:TOLD]}')}"]
    if "seen" in stages:
        since = {name: at - stages["seen"] for name, at in stages.items()}
        steps = [f"{word} {since[name]:.0f} s later" for name, word in STAGES.items() if name in since]
        lines.append("; ".join([f"Push seen at {instant(stages['seen'])}", *steps]) + ".")
    if who:
        lines.append(f"Approved by {code(printable(who))}.")
    lines += [
        f"What is held is approved with the comment {code(f'/nidus approve {digest}')}." for digest in held[:MOST]
    ]
    lines += [
        f"What is held is approved by {code(f'nidus approve {digest}')} alone: what brought it came in part by no change request as it was"
        " shown, so nobody's approval here counts."
        for digest in alone[:MOST]
    ]
    return "\n\n".join(lines)


def with_result(body: str, owner: str, key: bytes, text: str) -> str | None:
    """A comment of ours with a result on top, in place of the one before; None where it is not as we wrote it."""
    body = body.replace("\r\n", "\n")
    found, known = _MARKER.match(body), read(body, owner, key)
    if found is None or known is None or not known.whole:
        return None
    rest = _RESULT.sub("", body[found.end() :], count=1)
    return _sealed(f"{BEGIN}\n{text}\n{END}\n\n{rest}", owner, key, known.plan)


def _sealed(body: str, owner: str, key: bytes, shows: str) -> str:
    return f"<!-- nidus {owner} plan={shows} text={_proof(body, key, shows)} -->\n{body}"


def _proof(body: str, key: bytes, shows: str) -> str:
    """A digest that only this installation can make, of a text and the plan that it shows."""
    return hmac.new(key, f"{shows}\n{body.strip()}".encode(), hashlib.sha256).hexdigest()


def _digest(body: str) -> str:
    return hashlib.sha256(body.strip().encode()).hexdigest()


def _body(planned: Planned, before: str) -> str:
    top = [f"### {code(verdict(planned)[1])}", *_top(planned)]
    foot = "\n".join(_foot(planned, before))
    room = LIMIT - FRAME - sum(len(one) + 2 for one in (*top, foot))
    return "\n\n".join([*top, *_details(planned, room), foot])


def _top(planned: Planned) -> Iterator[str]:
    review = planned.review
    if review is not None:
        yield "\n".join(_table(review, planned))
    if planned.unsigned:
        yield (
            f"This source admits only commits that keys of its folder have signed: {code(printable(planned.unsigned))}. "
            "A merge that leaves this commit the newest one, or with `verify.mode: Range` brings it at all, is not admitted."
        )
    if planned.consent.items:
        yield (
            f"What it destroys goes on after the merge if {_people(planned.needed)} who may write, other than the author, "
            f"approves this head while this comment shows consent {code(planned.consent.digest[:SHORT])}, or comments "
            f"{code(f'/nidus approve {planned.consent.digest}')}. Without that the controller's "
            "budgets decide whether it goes on or waits for an approval."
        )
    if review is None and not planned.conflicts and not planned.problem:
        yield (
            "Charts and kustomizations of this change are not rendered and no Secret is read for it. Somebody who may "
            "write can ask for a plan of this head, after reading it, with the comment "
            f"{code(f'/nidus plan {planned.change.head}')}."
        )


def _people(needed: int) -> str:
    return "somebody" if needed < 2 else f"each of {needed} people"


def _table(review: Review, planned: Planned) -> Iterator[str]:
    changes = [change for one in review.clusters if one.plan for change in one.plan.changes]
    counts = summary.counts(changes)
    rows = [
        ("clusters touched", len(review.clusters)),
        ("clusters removed", sum(one.tombstone is not None for one in review.clusters)),
        *((word, counts[action]) for action, word in summary.WORDS.items()),
        ("volumes at risk", _flagged(changes, VOLUME)),
        ("control planes restarted", _flagged(changes, RESTARTS)),
    ]
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {number} |" for name, number in rows if number)
    yield from _settings(planned.settings)
    if planned.needed:
        yield f"| approvals | {_approvals(planned)} |"


def _settings(differences: tuple[Difference, ...]) -> Iterator[str]:
    """Versions and quotas, a row each."""
    rows = [(one.name, each) for one in differences for each in one.fields]
    for name, each in rows[:ROWS]:
        told = f"{show(each.before)} -> {show(each.after)}"[:LINE].replace("|", "/")
        yield f"| {code(printable(name))} {code(printable(each.path))} | {code(told)} |"
    if len(rows) > ROWS:
        yield f"| more versions and quotas | {len(rows) - ROWS} |"


def _approvals(planned: Planned) -> str:
    missing = planned.needed - len(planned.approved)
    by = f", by {', '.join(code(printable(name)) for name in planned.approved)}" if planned.approved else ""
    return f"{len(planned.approved)} of {planned.needed}{by}{f'; {missing} missing' if missing > 0 else ''}"


def _flagged(changes: list[Change], flag: str) -> int:
    return sum(flag in change.flags for change in changes)


def _details(planned: Planned, room: int) -> list[str]:
    if planned.review is not None:
        return details(planned.review, Style(), room, _files(planned))
    return shown([_difference(one) for one in planned.differences], room, "document")


def _files(planned: Planned) -> str:
    """The address below which the files of the source are shown as the head has them."""
    root = "" if planned.root in ("", ".") else f"{quote(planned.root)}/"
    return f"{planned.change.files}{root}" if planned.change.files else ""


def _difference(one: Difference) -> Block:
    head = f"<code>{one.kind}</code> {code(printable(one.name))}"
    place = f"{SYMBOLS[one.action]:<3} {printable(one.path)}:{one.line}"
    fields = (f"      {printable(each.path)}: {show(each.before)} -> {show(each.after)}" for each in one.fields)
    return Block(head, (place, *fields), one.action in DESTRUCTIVE)


def _foot(planned: Planned, before: str) -> Iterator[str]:
    change = planned.change
    signed = f", signed by {code(printable(planned.signer))}" if planned.signer else ""
    branch = f"{code(printable(change.base))} at {code(planned.base[:SHORT])}"
    yield f"Head {code(change.head[:SHORT])}{signed}, merged into {branch}."
    if planned.review is not None and planned.review.at:
        yield f"Compared with host {code(printable(planned.review.host))} at {instant(planned.review.at)}."
    if planned.consent.digest:
        yield f"Consent {code(planned.consent.digest)}."
    if before:
        yield f"This plan is {code(plan(planned)[:SHORT])}; the one before was {code(before[:SHORT])}."
    if planned.review is not None:
        yield f"The whole plan: {code(f'nidus plan --change {change.number}')}."


def _few(names: tuple[str, ...]) -> str:
    return few([printable(name) for name in names], 3)
