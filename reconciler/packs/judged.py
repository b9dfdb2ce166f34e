"""What no repository may say, judged once more on what a pack has become: references are filled in, and files are built, only then."""

from collections.abc import Callable, Container, Iterable

from reconciler.errors import Stalled
from reconciler.packs.objects import Sourced
from reconciler.spec import manifests
from reconciler.spec.codes import Code

_NEVER = frozenset({Code.SECRET_DATA, Code.POD_SECURITY_LABEL})


def judge(
    found: Iterable[Sourced], literal: Callable[[str], bool] = lambda source: False, sealed: Container[str] = ()
) -> None:
    """Raises Stalled(ObjectRefused) for the first document that is not allowed. `literal` says of a source whether the data of a Secret
    there was judged with its file (K13); the documents of the sources `sealed` hold encrypted values, which are no literal data."""
    for source, document in found:
        for _, code, message, hint in manifests.mistakes(document, sealed=source in sealed):
            if code in _NEVER and not (code == Code.SECRET_DATA and literal(source)):
                raise Stalled(f"{source}: {message}", reason="ObjectRefused", hint=hint)
