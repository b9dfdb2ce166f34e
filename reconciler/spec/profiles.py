"""Rules of one profile that no schema has: packs, files, variables and references fit together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec import Struct

from reconciler.errors import closest
from reconciler.model import ClusterProfile, Pack, ProfileDocument, Violation, replace
from reconciler.plan import kinds, request
from reconciler.spec import fieldnames, literals, manifests, order, uses, values, variables
from reconciler.spec.codes import Code
from reconciler.spec.entries import Item, capped, digest
from reconciler.spec.explain import pointer
from reconciler.spec.manifests import Claim, Facts
from reconciler.spec.uses import Files, Use

_PLAIN = frozenset({"cluster.name", "cluster.namespace", "host.name", "profile.name", "profile.version"})
_KNOWN = "variables.NAME, cluster.name, cluster.namespace, cluster.labels.KEY, host.name, profile.name, profile.version"


class Profile(Struct, frozen=True, eq=False):
    """One checked profile version. `claims`: object -> place; `needs`: references its packs make; `doubts`: what is probably wrong in
    the document itself, `warnings` that in all its packs."""

    item: Item
    document: ProfileDocument
    violations: tuple[Violation, ...]
    claims: Mapping[Claim, str]
    needs: frozenset[str]
    doubts: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.document.profile.metadata.name, self.document.profile.spec.version


def check(item: Item, tree: Files, before: Profile | None = None) -> Profile:
    """Checks one profile against the files of its tree. `before`: of the same document, as it was checked last."""
    assert isinstance(item.spec, ClusterProfile)
    spec = item.spec.spec
    used = {pack.name: uses.of(item.path, index, pack, tree) for index, pack in enumerate(spec.packs)}
    mistakes = (item.violation(*mistake) for mistake in _mistakes(item.spec, used))
    told = list(literals.standing(mistakes, item.data))
    claims, twice = _claims(item, spec.packs, used)
    in_files = [
        violation for use in used.values() for path, facts in use.facts for violation in _in_file(item, path, facts)
    ]
    hidden = [_hidden(item, name, one) for name, use in used.items() for one in use.unread]
    read = {name: _read(use, tree) for name, use in used.items()}
    said = {name: _content(use, read[name]) for name, use in used.items()}
    document = ProfileDocument(
        profile=item.spec,
        path=item.path,
        line=item.line,
        digest=digest([item.digest, said]),
        files={name: found for name, found in read.items() if found},
        contents=said,
    )
    violations = capped((*told, *twice, *in_files, *hidden))
    doubts = before.doubts if before is not None and before.item is item else _doubts(item, spec.packs)
    found = [replace(one, path=path) for use in used.values() for path, facts in use.facts for one in facts.warnings]
    warnings = capped((*doubts, *found))
    return Profile(item, document, violations, claims, frozenset(_needs(item.spec, used)), doubts, warnings)


def _doubts(item: Item, packs: Sequence[Pack]) -> tuple[Violation, ...]:
    found = (doubt for index, pack in enumerate(packs) for doubt in uses.doubts(index, pack))
    return tuple(item.violation(*doubt) for doubt in islice(found, fieldnames.TOLD))


def _read(use: Use, tree: Files) -> tuple[tuple[str, str], ...]:
    """(path, oid) of every file, those from elsewhere last."""
    inside = ((path, tree.oids[path]) for path in sorted(set(use.paths)))
    return (*inside, *dict.fromkeys((str(one), one.oid) for one in use.elsewhere))


def _content(use: Use, read: tuple[tuple[str, str], ...]) -> str:
    """Digest of what a pack's files say: YAML by content, so that comments do not matter, the rest by blob."""
    meant = {path: facts.digest for path, facts in use.facts}
    return digest([(path, meant.get(path, oid)) for path, oid in read]) if read else ""


def _mistakes(profile: ClusterProfile, uses: Mapping[str, Use]) -> Iterator[tuple[str, Code, str, str]]:
    spec = profile.spec
    yield from _twice("/spec/packs", (pack.name for pack in spec.packs))
    yield from _twice("/spec/variables", (variable.name for variable in spec.variables))
    for index, variable in enumerate(spec.variables):
        for name, message in values.declaration(variable):
            yield f"/spec/variables/{index}/{name}", Code.VARIABLE_DECLARATION, message, ""
    yield from _dependencies(spec.packs)
    yield from _ignored(spec.packs)
    for use in uses.values():
        yield from use.mistakes
    for index, pack in enumerate(spec.packs):
        for path, name in _inline(pack):
            if why := meaningless(name, profile):
                yield f"/spec/packs/{index}{pointer(path)}", Code.REFERENCE, why, _meant(name, profile)


def _twice(place: str, names: Iterable[str]) -> Iterator[tuple[str, Code, str, str]]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield f"{place}/{index}/name", Code.DUPLICATE_ITEM, f"{name} stands twice", ""
        seen.add(name)


def _dependencies(packs: tuple[Pack, ...]) -> Iterator[tuple[str, Code, str, str]]:
    names = Counter(pack.name for pack in packs)
    for index, pack in enumerate(packs):
        for place, other in enumerate(pack.depends_on or ()):
            if other not in names:
                hint = f"packs of this profile: {', '.join(names)}"
                yield f"/spec/packs/{index}/dependsOn/{place}", Code.DEPENDENCY, f"no pack {other}", hint
    circle = order.circle(order.depends(packs))
    if circle and max(names.values()) == 1:
        index = next(index for index, pack in enumerate(packs) if pack.name in circle)
        message = f"packs wait for each other: {', '.join(circle)}"
        yield f"/spec/packs/{index}/dependsOn", Code.CYCLE, message, "dependsOn: [] starts a pack at once"


def _ignored(packs: tuple[Pack, ...]) -> Iterator[tuple[str, Code, str, str]]:
    for index, pack in enumerate(packs):
        for at, rule in enumerate(pack.ignore_differences):
            for number, one in enumerate(rule.pointers):
                if request.names_it(one):
                    place = f"/spec/packs/{index}/ignoreDifferences/{at}/pointers/{number}"
                    yield place, Code.WRONG_VALUE, f"{one} is what the object is called", "name the fields below it"


def meaningless(name: str, profile: ClusterProfile) -> str:
    """Why a reference cannot have a value in any cluster, "" if it can."""
    if not name:
        return "`${{` opens a reference that does not end; write `$${{` for the text"
    room, _, rest = name.partition(".")
    if name in _PLAIN or (room == "cluster" and rest.startswith("labels.") and rest != "labels."):
        return ""
    if room == "variables":
        known = any(variable.name == rest for variable in profile.spec.variables)
        return "" if known else f"the profile has no variable {rest}"
    return f"{name} means nothing; write `$${{{{ {name} }}}}` for the text"


def _meant(name: str, profile: ClusterProfile) -> str:
    """What to write instead of a reference that means nothing."""
    close = closest(name, [*_PLAIN, *(f"variables.{one.name}" for one in profile.spec.variables)])
    return f"did you mean {close}?" if close else _KNOWN


def _inline(pack: Pack) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """References written in the profile itself."""
    if pack.helm:
        yield from variables.references(pack.helm.values, ("helm", "values"))
    if pack.manifests:
        yield from variables.references(pack.manifests.objects, ("manifests", "objects"))


def _needs(profile: ClusterProfile, uses: Mapping[str, Use]) -> Iterator[str]:
    for pack in profile.spec.packs:
        yield from (name for _, name in _inline(pack) if not meaningless(name, profile))
    for use in uses.values():
        for _, facts in use.facts:
            yield from (name for name, _, _ in facts.references if not meaningless(name, profile))


def _hidden(item: Item, pack: str, one: Violation) -> Violation:
    """A file that may not be read is a mistake of the profile that uses it, at the file's place."""
    assert isinstance(item.spec, ClusterProfile)
    name, version = item.spec.metadata.name, item.spec.spec.version
    message = f"{one.message}; pack {pack} of profile {name} {version} reads it"
    return replace(one, message=message, subject=item.subject)


def _in_file(item: Item, path: str, facts: Facts) -> Iterator[Violation]:
    """Mistakes in a file belong to the profile that names it."""
    assert isinstance(item.spec, ClusterProfile)
    yield from (replace(violation, path=path, subject=item.subject) for violation in facts.violations)
    for name, line, column in facts.references:
        if why := meaningless(name, item.spec):
            yield Violation(path, line, column, Code.REFERENCE, why, hint=_meant(name, item.spec), subject=item.subject)


def _claims(item: Item, packs: tuple[Pack, ...], uses: Mapping[str, Use]) -> tuple[dict[Claim, str], list[Violation]]:
    """Objects claimed by the profile, and those claimed twice; a namespace left out is the pack's."""
    found: dict[Claim, str] = {}
    twice = []
    for index, pack in enumerate(packs):
        own = [(claim, item.path, item.line) for claim in _written(pack)]
        own += [(claim, path, line) for path, facts in uses[pack.name].facts for claim, line in facts.claims.items()]
        for (group, kind, namespace, name), path, line in own:
            home = kinds.home((group, kind), namespace, pack.namespace)
            claim, place = (group, kind, home, name), f"{path}:{line} (pack {pack.name})"
            if claim in found:
                message = f"{kind} {name} is claimed by {found[claim]} and {place}"
                twice.append(item.violation(f"/spec/packs/{index}", Code.CLAIMED_TWICE, message))
            found[claim] = place
    return found, twice


def _written(pack: Pack) -> Iterator[Claim]:
    for body in pack.manifests.objects if pack.manifests else ():
        yield from manifests.claims(body)
    yield from (("", "Secret", one.namespace, one.to or one.source) for one in pack.secrets)
