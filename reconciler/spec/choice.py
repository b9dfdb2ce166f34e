"""Which version of a profile a cluster uses: the newest that fits; a broken newer version does not make it an older one
(V4)."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from reconciler.errors import closest
from reconciler.model import Rules
from reconciler.spec import semver
from reconciler.spec.codes import Code
from reconciler.spec.profiles import Profile
from reconciler.spec.rules import Found

_SHOWN = 12  # names that one hint lists
Keys = Mapping[tuple[str, str], str]


def moved(profile: Profile, key: tuple[str, str], in_use: Keys, rules: Rules) -> bool:
    return rules.profile_versions == "Immutable" and key in in_use and in_use[key] != profile.document.digest


def chooser(
    checked: Mapping[tuple[str, str], Profile], broken: Collection[tuple[str, str]], in_use: Keys, rules: Rules
) -> Callable[[str, str], Found]:
    """Which profile a (name, range) means. Broken versions count too, so that a cluster never falls back to an older
    one."""
    of: dict[str, set[str]] = defaultdict(set)
    for name, version in [*checked, *broken]:
        of[name].add(version)
    answers: dict[tuple[str, str], Found] = {}

    def choose(name: str, wanted: str) -> Found:
        if (name, wanted) not in answers:
            answers[name, wanted] = _answer(name, wanted, of.get(name, set()), checked, in_use, rules)
        return answers[name, wanted]

    return choose


def _answer(
    name: str,
    wanted: str,
    all_versions: set[str],
    checked: Mapping[tuple[str, str], Profile],
    in_use: Keys,
    rules: Rules,
) -> Found:
    if not all_versions:
        close = closest(name, {known for known, _ in checked})
        hint = f"did you mean {close}?" if close else _there_are(checked)
        return Code.NO_PROFILE, f"no profile {name}", hint
    readable = {version for version in all_versions if semver.is_version(version)}
    try:
        best = semver.best(wanted, readable)
    except ValueError as error:
        return Code.BAD_RANGE, str(error), f"there are: {', '.join(sorted(readable)[:_SHOWN])}" if readable else ""
    if wanted not in readable and readable != all_versions:
        best = "?"  # an unreadable version may be the one that is meant
    if best is None:
        return Code.NO_VERSION, f"no version of {name} fits", f"there are: {', '.join(sorted(readable))}"
    profile = checked.get((name, best))
    if profile is not None and not profile.violations and moved(profile, profile.key, in_use, rules):
        return Code.BROKEN_PROFILE, f"the content of profile {name} {best}, which is in use, changed", ""
    if profile is None or profile.violations:
        return Code.BROKEN_PROFILE, f"profile {name} {wanted} is broken, see its own errors", ""
    return profile


def _there_are(keys: Iterable[tuple[str, str]]) -> str:
    names = sorted({name for name, _ in keys})
    return f"there are: {', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}" if names else ""
