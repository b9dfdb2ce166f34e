"""Gitea's and Forgejo's REST API, which is close to GitHub's. Source: their API documentation (/api/swagger)."""

from reconciler.forges.github import Dialect, Github
from reconciler.forges.transport import Transport

PAGE = 50  # what a server gives at most, unless it is configured otherwise
GITEA = Dialect("limit", PAGE, "base_branch", (), "src/commit")  # the newest come first where nothing is asked for


def forge(api: str, repository: str, token_file: str, ca_file: str) -> Github:
    """The client of a repository on Gitea or Forgejo."""
    transport = Transport(api, token_file, ca_file, sign=lambda token: {"Authorization": f"token {token}"})
    return Github(transport, repository, GITEA)
