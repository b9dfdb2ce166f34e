"""What is wrong with the channels of a configuration: a post that nobody could trust, or two channels that cannot be told apart (U11)."""

from collections.abc import Iterable

from reconciler.model import ControllerSpec
from reconciler.spec.ceilings import Told
from reconciler.spec.codes import Code


def wrong(spec: ControllerSpec) -> Iterable[Told]:
    """Every mistake."""
    names: set[str] = set()
    sources = {one.name for one in spec.sources}
    for index, one in enumerate(spec.notify):
        where = f"/spec/notify/{index}"
        if one.name in names:
            yield f"{where}/name", Code.WRONG_VALUE, "another channel has this name", "give each a name of its own"
        names.add(one.name)
        if one.format == "generic" and not one.secret_file:
            told = "a post of format generic is signed, so that its receiver knows whose it is"
            yield where, Code.WRONG_VALUE, told, "write secretFile, or format: slack or teams"
        if one.format != "generic" and one.secret_file:
            told = f"nothing is signed with it: {one.format} does not verify signatures"
            yield f"{where}/secretFile", Code.WRONG_VALUE, told, "remove it; the address is the secret, in urlFile"
        for number, name in enumerate(one.sources):
            if name not in sources:
                yield f"{where}/sources/{number}", Code.WRONG_VALUE, f"there is no source {name}", "one of spec.sources"
