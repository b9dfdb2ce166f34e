"""`nidus new cluster|profile NAME`: a file that passes `nidus validate`, with the variables its profiles require."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import UsageError, printable
from reconciler.verbs import drafts, usage

if TYPE_CHECKING:
    from reconciler.model import ProfileDocument, Snapshot, Variable

KINDS = {"cluster": "NestedCluster", "profile": "ClusterProfile"}
PLACES = {"cluster": "clusters", "profile": "profiles"}
EXAMPLES = (
    ("cluster team-a --profile baseline", "asks for the variables that baseline requires"),
    ("cluster team-a --profile baseline@1.x --set team=a", "asks nothing"),
    ("profile web", "a profile with one pack to begin with"),
    ("profile web --from 1.2.0", "its next version, to be changed: a version in use stays as it is"),
)
PROFILE = """\
spec:
  version: 1.0.0
  description: {description}
  variables:
    - name: team
      default: everybody
      pattern: "[a-z][a-z0-9-]*"
      description: Team that owns the cluster
  packs:
    - name: namespaces
      manifests:
        objects:
          - apiVersion: v1
            kind: Namespace
            metadata:
              name: {namespace}
              labels:
                team: ${{{{ variables.team }}}}
"""


@dataclass(frozen=True, slots=True)
class Use:
    """A profile that a cluster uses; `version` "" stands for the newest there is."""

    name: str
    version: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=tuple(KINDS), metavar="KIND", help="cluster or profile")
    parser.add_argument("name", metavar="NAME", help="its name; the file is clusters/NAME.yaml or profiles/NAME.yaml")
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="NAME[@VERSION]",
        help="a profile that the cluster uses, as often as wanted (default version: the newest)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[PROFILE.]VARIABLE=VALUE",
        help="the value of a variable of these profiles; what is required and not set is asked for on a terminal",
    )
    parser.add_argument(
        "--from",
        dest="old",
        default="",
        metavar="VERSION",
        help="the next version of a profile: copies this one, and the files its packs read",
    )
    parser.add_argument("--version", default="", metavar="VERSION", help="of that copy (default: the next minor one)")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="the repository (default: here)")


def run(args: argparse.Namespace) -> int:
    """Refuses to overwrite a file, and to write one that would not validate."""
    if args.kind == "profile":
        if args.profile or args.set:
            raise UsageError("--profile and --set are for clusters", hint="nidus new profile NAME")
        if args.version and not args.old:
            raise UsageError("--version is for the copy of another one", hint="nidus new profile NAME --from VERSION")
        if args.old:
            from reconciler.verbs import copied

            for line in copied.profile(args.folder, args.name, args.old, args.version).told(args.folder):
                print(printable(line))
        else:
            print(profile(args.folder, args.name))
        return 0
    if args.old or args.version:
        raise UsageError("--from and --version are for profiles", hint="nidus new cluster NAME --profile NAME")
    uses = tuple(Use(*(one.split("@", 1) if "@" in one else (one, ""))) for one in args.profile)
    print(cluster(args.folder, args.name, uses, dict(map(_pair, args.set)), is_asking=sys.stdin.isatty()))
    return 0


def profile(folder: Path, name: str, namespace: str = "", description: str = "") -> Path:
    """Write a profile with one variable, and one pack that makes a namespace (default: of the same name); return its file.

    Raises UsageError, Stalled.
    """
    text = PROFILE.format(namespace=namespace or name, description=description or f"What {name} needs")
    return _write(folder, "profile", name, text)


def cluster(
    folder: Path, name: str, uses: Sequence[Use], values: Mapping[str, str], *, is_asking: bool = False
) -> Path:
    """Write a cluster that uses these profiles; return its file. `values`: [PROFILE.]VARIABLE -> text.

    Raises UsageError where a profile or a variable is not there or a value is missing, Stalled where it would not validate.
    """
    import yaml

    _check_free(folder, "cluster", name)
    known = drafts.snapshot(folder)
    taken: set[str] = set()
    used = []
    for use in uses:
        document = _profile(known, use)
        found = _values(document, values, taken, is_asking)
        version = use.version or document.profile.spec.version
        used.append({"name": use.name, "version": version, **({"variables": found} if found else {})})
    if word := next((word for word in values if word not in taken), ""):
        names = [one.name for use in uses for one in _profile(known, use).profile.spec.variables]
        raise usage.absent(f"no profile has the variable {word}", word, names, "there are")
    spec = yaml.safe_dump({"profiles": used} if used else {}, sort_keys=False)
    text = "spec:\n" + re.sub(r"(?m)^", "  ", spec).rstrip() + "\n" if used else "spec: {}\n"
    return _write(folder, "cluster", name, text)


def schema_line(kind: str, place: str) -> str:
    """The first line by which an editor finds the schema of a kind, "" where `place` is "" (no schemas are near)."""
    return f"# yaml-language-server: $schema={place}/{kind}.schema.json\n" if place else ""


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--set {text}: no value", hint="--set VARIABLE=VALUE")
    return name, value


def _file(folder: Path, kind: str, name: str) -> Path:
    return folder / PLACES[kind] / f"{name}.yaml"


def _check_free(folder: Path, kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise UsageError(f"{printable(name)} is no name", hint="lower-case letters, digits and hyphens, as team-a")
    if _file(folder, kind, name).exists():
        raise UsageError(f"{_file(folder, kind, name)} is there already", hint="choose another name, or edit that file")


def _write(folder: Path, kind: str, name: str, spec: str) -> Path:
    _check_free(folder, kind, name)
    file = _file(folder, kind, name)
    head = f"apiVersion: nidus.dev/v1alpha1\nkind: {KINDS[kind]}\nmetadata:\n  name: {name}\n"
    text = schema_line(KINDS[kind], _schemas(folder, file)) + head + spec
    more = {file.relative_to(folder).as_posix(): text.encode()}
    drafts.check(folder, more)
    drafts.write(folder, more)
    return file


def _schemas(folder: Path, file: Path) -> str:
    """Where the schemas are, seen from the file; "" where they are neither in the repository nor beside it."""
    for place in (folder / "schemas", folder / ".." / "schemas"):
        if (place / "NestedCluster.schema.json").exists():
            return os.path.relpath(place, file.parent).replace(os.sep, "/")
    return ""


def _profile(known: Snapshot, use: Use) -> ProfileDocument:
    from reconciler.spec import semver

    versions = [version for name, version in known.specs.profiles if name == use.name]
    best = semver.best(use.version or ">=0.0.0-0", versions)
    if best is None:
        names = sorted({name for name, _ in known.specs.profiles})
        message = f"no profile {use.name}{f'@{use.version}' if use.version else ''} in this folder"
        if versions:
            raise usage.absent(message, "", versions, "its versions")
        raise usage.absent(message, use.name, names, "there are", "nidus new profile NAME")
    return known.specs.profiles[use.name, best]


def _values(document: ProfileDocument, given: Mapping[str, str], taken: set[str], is_asking: bool) -> dict[str, Any]:
    """The values of a profile's variables: those of its own name first. What is used of `given` is added to `taken`."""
    found: dict[str, Any] = {}
    for one in document.profile.spec.variables:
        named = f"{document.profile.metadata.name}.{one.name}"
        key = next((key for key in (named, one.name) if key in given), "")
        taken.add(key)
        if key or one.required:
            found[one.name] = _typed(one, given[key] if key else _asked(named, one, is_asking))
    return found


def _asked(named: str, one: Variable, is_asking: bool) -> str:
    about = f"{one.description or 'no description'} ({one.type})"
    if not is_asking:
        raise UsageError(f"{named} is required: {about}", hint=f"--set {one.name}=VALUE")
    choices = f", one of {', '.join(map(str, one.enum))}" if one.enum else ""
    print(printable(f"{about}{choices}"), file=sys.stderr)
    try:
        return input(f"{named}: ")
    except EOFError:
        raise UsageError(f"{named} is required: {about}", hint=f"--set {one.name}=VALUE") from None


def _typed(one: Variable, text: str) -> Any:
    """The value that a text stands for; a text that is none of its type stays, and the check says so."""
    if one.type == "boolean" and text in ("true", "false"):
        return text == "true"
    numbers = {"integer": int, "number": float}
    try:
        return numbers[one.type](text) if one.type in numbers else text
    except ValueError:
        return text
