"""What the answers of the webhook mean, for whoever sends: also the table of docs/tasks/webhook.md."""

from typing import Final

ANSWERS: Final = {
    200: "understood, and nothing to do: a ping, a push to another branch, or an event that interests nobody",
    202: "the request is stored, a sync or a plan begins",
    400: "signed, but not what the forge documents",
    401: "the signature or password is missing, or not made with a secret of `secretFiles`; with a signing token also: too old",
    404: "no source has this route, or none of its secrets is good",
    408: "too slow",
    411: "a body without a length",
    413: "a body of more than 3 MiB",
    415: "a kind of content that the forge does not send: choose JSON",
    429: "like 401 and 404, after too many of them from one address",
    431: "a header of more than 32 KiB or 100 fields",
    503: "the request could not be stored, or the listener is full: deliver again",
}
