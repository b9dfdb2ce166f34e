"""`nidus rotate NAME LAYER`: let a chart make up its passwords and certificates anew (K8)."""

import argparse

from reconciler.verbs import connection, known, usage

EXAMPLES = (("team-a web-stack/redis", "what the chart of pack redis made up"),)
LASTS = 86400.0  # seconds a request waits for its cluster


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the nested cluster")
    parser.add_argument("layer", metavar="LAYER", help="the layer: PROFILE/PACK, of a pack with helm.random: Freeze")
    parser.add_argument("--reason", default="", help="why, for everybody who looks")
    connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once stored. Raises Stalled where the cluster has no such pack."""
    from reconciler.verbs.asking import ask

    client = connection.connect(args)
    found = known.cluster(client, args.namespace, args.name)
    status = found.get("status") or {}
    layers = (str(one.get("name")) for one in status.get("layers") or ())
    names = sorted(one for one in layers if "/" in one)  # those of packs
    if args.layer not in names:
        raise usage.absent(f"{args.name} has no pack {args.layer}", args.layer, names, "its packs")
    ask(
        client,
        args.namespace,
        "rotate",
        cluster=args.name,
        items=(args.layer,),
        reason=args.reason,
        seconds=LASTS,
    )
    print(
        f"what the chart of {args.layer} made up is made anew in {args.name}, where the pack has helm.random: Freeze; "
        f"nidus status {args.name} shows when it is Ready"
    )
    known.warn(client, args.namespace)
    return 0
