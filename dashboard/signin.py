"""Who asks, and whether a form was really theirs (U8). Nothing of a sign-in is kept here: the cookie holds the sealed token, and
the API server is asked about it again and again, so a token that ends ends the sign-in, in every replica."""

import hmac
import re
import time
from collections.abc import Callable
from typing import Final

from flask import Request
from werkzeug.wrappers import Response

from dashboard import sealing
from dashboard.door import Access, Door
from reconciler.errors import prints
from reconciler.model import UserInfo

NOBODY: Final = UserInfo("")
COOKIE: Final = {"https": "__Host-nidus", "http": "nidus"}
TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{8,4000}", re.ASCII)
GROUPS: Final = 200  # of one person, from a proxy
TEXT: Final = 256  # characters of a name from a proxy
PERIOD: Final = 6 * 3600  # seconds in which a page gets the same proof for its forms; the one before is good too


class SignIn:
    """People of one dashboard."""

    def __init__(self, door: Door, clock: Callable[[], float] = time.time) -> None:
        self._door, self._clock = door, clock

    @property
    def access(self) -> Access:
        return self._door.access

    def user(self, asked: Request) -> UserInfo | None:
        """Who asks; None where nobody signed in. Raises NidusError."""
        match self.access.auth:
            case "kubernetes":
                token = sealing.opened(self._cookie(asked), self._origin(asked), self.access.key())
                return self.access.holder(token) if token else None
            case "proxy":
                return _told(asked, self.access)
        return NOBODY

    def enter(self, asked: Request, answer: Response, token: str) -> str:
        """Sign somebody in on this answer. Returns why not, "" where they are in. Raises NidusError."""
        token = token.strip()
        if not TOKEN.fullmatch(token) or self.access.enter(token, asked.remote_addr or "") is None:
            return "The API server knows nobody by this token. It may have ended."
        origin = self._origin(asked)
        value = sealing.sealed(token, origin, self.access.key())
        if len(value) > sealing.LONGEST:
            return "This token is too long for a cookie. Use one with fewer groups in it."
        secure = origin.startswith("https:")
        answer.set_cookie(self._name(asked), value, path="/", secure=secure, httponly=True, samesite="Strict")
        return ""

    def leave(self, asked: Request, answer: Response) -> None:
        """Sign out."""
        secure = self._origin(asked).startswith("https:")
        answer.delete_cookie(self._name(asked), path="/", secure=secure, httponly=True, samesite="Strict")

    def proof(self, asked: Request, who: UserInfo, back: int = 0) -> str:
        """What the forms of a page carry for its reader."""
        period = int(self._clock() // PERIOD) - back
        return sealing.proof(self.access.key(), self._origin(asked), who.name, self._cookie(asked), str(period))

    def proves(self, asked: Request, who: UserInfo, given: str) -> bool:
        """Whether a form is of a page that this reader was given."""
        return any(hmac.compare_digest(given.encode(), self.proof(asked, who, back).encode()) for back in (0, 1))

    def _origin(self, asked: Request) -> str:
        return self._door.origin(asked.headers.get("Host", ""))

    def _name(self, asked: Request) -> str:
        return COOKIE[self._origin(asked).partition(":")[0]]

    def _cookie(self, asked: Request) -> str:
        return asked.cookies.get(self._name(asked), "")


def _told(asked: Request, access: Access) -> UserInfo | None:
    """Who the proxy says it is. A name with a comma may be two headers, the first of them from the browser; names that begin with
    system: are those of Kubernetes itself."""
    name = _said(asked, access.proxy.user)
    if not _plain(name) or "," in name:
        return None
    groups = [one.strip(" \t") for one in _said(asked, access.proxy.groups).split(",")]
    kept = tuple(one for one in groups if _plain(one))[:GROUPS]
    return UserInfo(name, groups=(*kept, "system:authenticated"))


def _said(asked: Request, header: str) -> str:
    """A header of the proxy as the UTF-8 that it is, "" where it is none. WSGI gives it as Latin-1, in which parts of a letter are
    space: without them two names are one."""
    try:
        return asked.headers.get(header, "").encode("latin-1").decode().strip(" \t")
    except UnicodeError:
        return ""


def _plain(name: str) -> bool:
    return 0 < len(name) <= TEXT and prints(name) and not name.startswith("system:")
