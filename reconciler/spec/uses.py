"""The files that each pack of a profile reads, found in the tree, and what comes from elsewhere (K2)."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field

from reconciler.errors import closest
from reconciler.model import HelmPack, Limits, Pack, Remote, Violation
from reconciler.spec import charts, content, files, kustomize, linear, manifests, unread
from reconciler.spec.codes import Code
from reconciler.spec.content import Elsewhere, Found
from reconciler.spec.explain import pointer
from reconciler.spec.manifests import Facts
from reconciler.spec.unread import Unread

_RELEASE = 53


class Files(Struct, frozen=True):
    """The tree, for profiles, and what is known of content from elsewhere. `facts(path, objects)` reads a YAML file once; None where it
    is in a chart. `unread` are the entries that may not be read, by path; `pointers` says of small files in charts (by oid) whether they
    are LFS pointers. `data` gives the bytes of a YAML file outside charts."""

    oids: Mapping[str, str]
    ordered: list[str]
    charts: frozenset[str]
    facts: Callable[[str, bool], Facts | None]
    unread: Unread
    pointers: Mapping[str, bool]
    elsewhere: Elsewhere
    data: Callable[[str], bytes | None]
    limits: Limits


class Use(Struct):
    """The files of one pack, while it is checked. `unread`: files that it names and that may not be read."""

    paths: list[str]
    facts: list[tuple[str, Facts]]
    mistakes: list[tuple[str, Code, str, str]]
    unread: list[Violation]
    elsewhere: list[Remote] = field(default_factory=list)


def of(document: str, index: int, pack: Pack, tree: Files) -> Use:
    use = Use([], [], [], [])
    place = f"/spec/packs/{index}"
    if pack.helm:
        _chart(document, pack, pack.helm, place, tree, use)
    if pack.kustomize:
        _kustomization(document, pack.kustomize.path, f"{place}/kustomize/path", tree, use)
    if pack.manifests:
        _taken(content.of_urls(pack.manifests, f"{place}/manifests/urls", tree.elsewhere), use)
        for position, pattern in enumerate(pack.manifests.files):
            _pattern(document, pattern, f"{place}/manifests/files/{position}", tree, use)
        for position, body in enumerate(pack.manifests.objects):
            for where, code, message, hint in manifests.mistakes(body):
                use.mistakes.append((f"{place}/manifests/objects/{position}{pointer(where)}", code, message, hint))
    return use


def doubts(index: int, pack: Pack) -> Iterator[tuple[str, Code, str, str]]:
    """What is probably wrong in objects that the document itself has."""
    for position, body in enumerate(pack.manifests.objects if pack.manifests else ()):
        for where, code, message, hint in manifests.doubts(body):
            yield f"/spec/packs/{index}/manifests/objects/{position}{pointer(where)}", code, message, hint


def _chart(document: str, pack: Pack, helm: HelmPack, place: str, tree: Files, use: Use) -> None:
    if not helm.release_name and len(pack.name) > _RELEASE:
        message = f"a release name is at most {_RELEASE} characters"
        use.mistakes.append((f"{place}/name", Code.WRONG_VALUE, message, "set helm.releaseName"))
    _taken(content.of_chart(helm.chart, f"{place}/helm/chart", tree.elsewhere), use)
    if not content.is_remote(helm.chart):
        _in_tree(document, helm.chart.path, f"{place}/helm/chart/path", tree, use)
    if helm.chart.verify:
        verify = helm.chart.verify
        _key(document, verify.file, f"{place}/helm/chart/verify/{verify.at}", tree, use)
    for position, file in enumerate(helm.values_files):
        _named(document, file, f"{place}/helm/valuesFiles/{position}", tree, use)


def _kustomization(document: str, path: str, place: str, tree: Files, use: Use) -> None:
    """All files that the build needs."""
    try:
        folder = files.beside(document, path)
    except files.NoPath as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), error.hint))
        return
    use.unread += unread.below(folder, tree.unread)
    try:
        use.paths += kustomize.read(folder, kustomize.Tree(tree.ordered, tree.oids, tree.data), tree.limits)
    except kustomize.Refused as error:
        use.mistakes.append((place, Code.KUSTOMIZATION, *error.mistake))


def _taken(found: Found, use: Use) -> None:
    """Notes what comes from elsewhere, and the mistakes."""
    for one in found:
        if isinstance(one, Remote):
            use.elsewhere.append(one)
        else:
            use.mistakes.append(one)


def _in_tree(document: str, path: str, place: str, tree: Files, use: Use) -> None:
    try:
        folder = files.beside(document, path)
    except files.NoPath as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), error.hint))
    else:
        _charted(document, folder, place, tree, use)


def _charted(document: str, folder: str, place: str, tree: Files, use: Use) -> None:
    """All files below a chart's folder: Helm reads all of them."""
    hidden, found = unread.below(folder, tree.unread), files.under(folder, tree.ordered)
    if folder not in tree.charts and not hidden:
        use.mistakes.append((place, Code.NOT_A_CHART, *_no_chart(document, folder, bool(found), tree.charts)))
    for base in charts.headless(folder, found, tree.charts):
        use.mistakes.append(
            (place, Code.NOT_A_CHART, f"{base} has no Chart.yaml", "what is below charts/ is a chart too")
        )
    use.unread += hidden + charts.misplaced(folder, found) + unread.pointers(found, tree.oids, tree.pointers)
    use.paths += found


def _no_chart(document: str, folder: str, exists: bool, others: Iterable[str]) -> tuple[str, str]:
    """Message and hint where a pack names a folder that is no chart."""
    message = f"{folder or '.'} has no Chart.yaml" if exists else f"there is no folder {folder}"
    close = closest(folder, others)
    return message, f"did you mean {files.named(document, close)}?" if close else "paths are relative to this file"


def _named(document: str, file: str, place: str, tree: Files, use: Use) -> None:
    """One values file. The content of one inside a chart is not checked."""
    try:
        path = files.beside(document, file)
    except files.NoPath as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), error.hint))
        return
    if hidden := unread.at(path, tree.unread):
        use.unread += hidden
        return
    if path not in tree.oids:
        use.mistakes.append(
            (place, Code.NO_FILE, f"{path} is not there", files.meant(document, file, tree.oids, tree.ordered))
        )
        return
    use.paths.append(path)
    use.unread += unread.pointers([path], tree.oids, tree.pointers)
    facts = tree.facts(path, False) if files.is_yaml(path) else None
    if facts:
        use.facts.append((path, facts))


def _key(document: str, file: str, place: str, tree: Files, use: Use) -> None:
    """The file of keys that a chart is verified with."""
    try:
        path = files.beside(document, file)
    except files.NoPath as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), error.hint))
        return
    use.unread += unread.at(path, tree.unread)
    if path in tree.oids:
        use.paths.append(path)
    elif path not in tree.unread:
        told = files.meant(document, file, tree.oids, tree.ordered)
        use.mistakes.append((place, Code.NO_FILE, f"{path} is not there", told))


def _pattern(document: str, pattern: str, place: str, tree: Files, use: Use) -> None:
    try:
        full = files.beside(document, pattern)
        found, hidden = files.matching(full, tree.oids, tree.ordered), unread.meant(full, tree.unread)
    except files.NoPath as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), error.hint))
        return
    except linear.PatternError as error:
        use.mistakes.append((place, Code.NO_FILE, str(error), "name the files one by one"))
        return
    use.unread += hidden
    if not found and not hidden:
        use.mistakes.append(
            (place, Code.NO_FILE, f"no file matches {pattern}", files.meant(document, pattern, tree.oids, tree.ordered))
        )
    for path in found:
        facts = tree.facts(path, True) if files.is_yaml(path) else None
        if facts is None:
            use.mistakes.append((place, Code.FILE_KIND, f"{path} is not a YAML file outside a chart", ""))
            continue
        use.paths.append(path)
        use.facts.append((path, facts))
