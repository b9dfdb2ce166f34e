"""`nidus`: finds the verb, builds its arguments, prints its errors. Imports no large module, so that `nidus --help`
answers at once (G11)."""

import atexit
import gc
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from reconciler import __version__
from reconciler.errors import NidusError, UsageError, printable
from reconciler.verbs import usage

VERBS: dict[str, str] = {
    "init": "begin a repository: one profile, one cluster, schemas for editors",
    "new": "write the file of a new cluster or profile, with the variables it requires",
    "run": "run the controller",
    "validate": "check the documents of a repository, without a cluster",
    "plan": "show what a sync would do, against the live state",
    "changes": "open change requests, and what merging each would do",
    "render": "print the manifests of one nested cluster from a folder, without a cluster",
    "lock": "write nidus.lock.yaml: what charts and addresses from elsewhere are, by digest",
    "sync": "sync now: wake the controller, or do one sync if none runs",
    "status": "sources and nested clusters, at a glance",
    "why": "what keeps a nested cluster from being Ready, and what to do",
    "history": "the last revisions of one nested cluster, by whom, and how long each took",
    "workloads": "what runs inside one nested cluster",
    "cost": "who pays for what: by cluster, team, label or namespace",
    "wait": "wait until nested clusters are Ready, and end at once where they cannot become so",
    "check": "whether Nidus is in order here: versions, kinds, rights, controller, sources",
    "events": "what happened, newest last",
    "logs": "the controller's log, readable",
    "webhook": "what became of the last deliveries of forges; send a test delivery",
    "approve": "approve held deletions or replacements by their digest",
    "approvals": "what waits for an approval, and what is approved; take approvals back",
    "suspend": "stop reconciling one nested cluster, visibly",
    "resume": "reconcile a suspended nested cluster again",
    "sleep": "put one nested cluster to sleep: its pods go, its data and addresses stay",
    "wake": "wake a sleeping nested cluster",
    "extend": "let a nested cluster that expires live longer",
    "rotate": "let a chart make up its passwords and certificates anew",
    "upgrade": "what one nested cluster needs to reach a version of Kubernetes",
    "backup": "make a snapshot of one nested cluster now",
    "backups": "the snapshots of one nested cluster",
    "restore": "put a snapshot in the place of what a nested cluster holds, once approved",
    "kubeconfig": "print a kubeconfig of one nested cluster, and serve its port-forward",
    "connect": "write a context of one nested cluster into your kubeconfig",
    "disconnect": "remove contexts that `nidus connect` wrote, and end their port-forwards",
    "schema": "print or write the JSON Schemas",
    "completion": "print what bash, zsh or fish need to complete verbs and flags",
    "version": "print the version of this command and of what it renders with",
    "help": "explain one verb, or list them",
    "demo": "the whole story on the embedded host",
    "host": "the embedded host: a real Kubernetes control plane on this machine",
}


COLLECTED = 50_000
"""Objects that a verb makes until the collector looks at them: what modules make at a start stays, and looking costs a tenth of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """The console entry point; returns the exit code (`verbs.usage`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    gc.set_threshold(COLLECTED)
    atexit.register(gc.freeze)  # what is left goes with the process: looking through it is a tenth of a large plan
    try:
        return _dispatch(words)
    except NidusError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        return usage.WRONG if isinstance(error, UsageError) else usage.FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return usage.FAILED


def _listed() -> str:
    width = max(map(len, VERBS))
    return "\n".join(["verbs:", *(f"  {name:<{width}}  {told}" for name, told in VERBS.items())])


def _called() -> str:
    """How people call us: kubectl runs `kubectl-nidus` for `kubectl nidus`."""
    return "kubectl nidus" if sys.argv[0].rpartition("/")[2] == "kubectl-nidus" else "nidus"


def _dispatch(words: Sequence[str]) -> int:
    chosen = next((word for word in words if not word.startswith("-")), "")
    if chosen and chosen not in VERBS:
        raise UsageError(
            f"no verb {printable(chosen[:60])}",
            hint=usage.INSTEAD.get(chosen) or usage.close(chosen, VERBS) or "nidus help lists them",
        )
    parser = usage.Parser(
        prog=_called(),
        description="GitOps for nested clusters.",
        epilog=f"{_listed()}\n\nnidus VERB --help tells more.\n\n{usage.exits()}",
    )
    parser.add_argument("--version", action="version", version=f"nidus {__version__}")
    module: ModuleType | None = None
    known = parser
    if chosen:
        module = importlib.import_module(f"reconciler.verbs.{chosen}")
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog=_called())
        known = verbs.add_parser(chosen, description=VERBS[chosen])  # one alone: a parser of each would cost 10 ms
        module.add_arguments(known)
        usage.explain(known, getattr(module, "EXAMPLES", ()), getattr(module, "EXITS", {}))
    else:
        parser.add_argument("verb", metavar="VERB", help="one of the verbs that nidus help lists")
    parser.set_defaults(main=main, verbs=VERBS)  # for `help` and `completion`
    args, unknown = parser.parse_known_args(words)
    if unknown:
        known.refuse(unknown)
    assert module is not None
    return int(module.run(args))


if __name__ == "__main__":
    sys.exit(main())
