"""`nidus webhook`: the log of deliveries, and a test delivery that is signed as a forge signs."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import Stalled, UsageError, printable
from reconciler.verbs import connection, inside, usage

if TYPE_CHECKING:
    from webhook.forges import Delivery

EXAMPLES = (
    ("log", "the last deliveries of every source, newest last"),
    ("log platform --address 127.0.0.1:9293", "of one source, from a controller that runs on this machine"),
    ("send --forge github --url https://nidus.example.com/webhook/platform --secret-file secret", "a push to main"),
    (
        "send --forge github --url http://127.0.0.1:9292/webhook/platform --secret-file secret --ping",
        "test the secret only",
    ),
)
SECONDS = 20.0  # until an answer must be there: more than any forge waits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs log and send."""
    verbs = parser.add_subparsers(dest="webhook_verb", required=True, metavar="VERB")
    log = verbs.add_parser("log", help="what became of the last deliveries")
    log.add_argument("source", nargs="?", default="", metavar="SOURCE", help="only of this source")
    log.add_argument("--last", type=_number, default=50, metavar="N", help="how many (default: %(default)s)")
    inside.add_arguments(log)
    log.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print (default: table)")
    connection.add_arguments(log)
    send = verbs.add_parser("send", help="sign and send a test delivery")
    send.add_argument("--forge", required=True, metavar="FORGE", help="as in webhook.provider, such as github")
    send.add_argument("--url", required=True, metavar="URL", help="where it goes: https://HOST/webhook/SOURCE")
    send.add_argument("--secret-file", required=True, metavar="FILE", help="what webhook.secretFiles names")
    send.add_argument("--ca-file", default="", metavar="FILE", help="certificate authorities, where they are your own")
    what = send.add_mutually_exclusive_group()
    what.add_argument("--branch", default="main", metavar="NAME", help="a push to this branch (default: %(default)s)")
    what.add_argument("--ref", default="", metavar="REF", help="a push of another ref, such as refs/tags/v1")
    what.add_argument("--change", type=_number, default=0, metavar="N", help="a change request that moved")
    what.add_argument("--comment", type=_number, default=0, metavar="N", help="a comment to a change request")
    what.add_argument("--ping", action="store_true", help="a test that changes nothing, where the forge has one")


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return number


def run(args: argparse.Namespace) -> int:
    """Exit code 0; 1 where no log could be read, or the delivery was not accepted."""
    if args.webhook_verb == "send":
        return _send(args)
    from reconciler.verbs import deliveries

    found = (
        deliveries.at(args.address)
        if args.address
        else deliveries.of_pods(connection.connect(args), args.namespace, args.port)
    )
    print(deliveries.shown(found, args.source, args.last, args.output))
    return usage.DONE


def _send(args: argparse.Namespace) -> int:
    from webhook.answers import ANSWERS
    from webhook.forges import FORGES, NoSuchEvent

    forge = FORGES.get(args.forge)
    if forge is None:
        raise UsageError(
            f"no forge {printable(args.forge[:60])}",
            hint=usage.close(args.forge, FORGES) or f"one of {', '.join(FORGES)}",
        )
    secret = _secret(Path(args.secret_file))
    try:
        headers, body = forge.compose(_told(args))
    except NoSuchEvent:
        raise UsageError(f"{args.forge} sends no such event", hint="leave the flag out to send a push") from None
    status, text = _posted(args, headers | forge.sign(body, secret, time.time()), body)
    print(printable(f"{status}: {ANSWERS.get(status, text.strip() or 'no answer of Nidus')}"))
    return usage.DONE if status in (200, 202) else usage.FAILED


def _told(args: argparse.Namespace) -> Delivery:
    from webhook.forges import Delivery

    if args.ping:
        return Delivery("ping")
    if args.change or args.comment:
        return Delivery("change" if args.change else "comment", number=args.change or args.comment)
    return Delivery("push", (args.ref or f"refs/heads/{args.branch}",))


def _secret(file: Path) -> bytes:
    from webhook.secrets import read

    secret, fault = read(file)
    if fault:
        raise UsageError(f"{file} {fault}", hint="openssl rand -hex 32 makes a good one")
    return secret


def _posted(args: argparse.Namespace, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """The status and the first bytes of the answer. No redirect is followed: what is signed goes to one place."""
    import urllib3

    if not args.url.startswith(("http://", "https://")):
        raise UsageError(f"{printable(args.url[:100])} is no address", hint="--url https://HOST/webhook/SOURCE")
    if args.url.startswith("http://") and args.forge in ("gitlab", "azure-devops"):
        print("note: this forge sends the secret itself; over http:// anybody between can read it", file=sys.stderr)
    pool = urllib3.PoolManager(ca_certs=args.ca_file or None, retries=False, timeout=urllib3.Timeout(total=SECONDS))
    try:
        answer = pool.request("POST", args.url, body=body, headers=headers, redirect=False, preload_content=False)
        return answer.status, answer.read(200).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise Stalled(f"{printable(args.url[:100])} does not answer: {printable(str(error)[:200])}") from None
    finally:
        pool.clear()
