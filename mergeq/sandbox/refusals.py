"""How GitHub says no: an HTTP status, a message, and sometimes a list of field errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mergeq.sandbox.records import Repo

FieldError = Mapping[str, str]


class RefusedError(Exception):
    """GitHub refuses a request; ``message`` is exactly what it would say."""

    def __init__(self, status: int, message: str, errors: Sequence[FieldError | str] = ()) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.errors = tuple(errors)


class MergeRefused(RefusedError):
    """GitHub does not merge a pull request."""


class BrokenGatewayError(Exception):
    """Whatever GitHub did, a gateway before it answers with this status and a page of its own."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} from a gateway")
        self.status = status


class NotSimulatedError(RefusedError):
    """The sandbox does not know how GitHub would answer, and says so rather than guess."""

    def __init__(self, what: str) -> None:
        super().__init__(501, f"not simulated: {what}")


class MovedError(RefusedError):
    """What was asked for is elsewhere now: below ``/repositories/{repo_id}``, at ``rest``."""

    def __init__(self, method: str, repo_id: int, rest: str) -> None:
        super().__init__(301 if method in ("GET", "HEAD") else 307, "Moved Permanently")
        self.repo_id = repo_id
        self.rest = rest


def not_found() -> RefusedError:
    """What GitHub says of everything it does not want to show."""
    return RefusedError(404, "Not Found")


def archived() -> RefusedError:
    """What everybody is told who would change an archived repository."""
    return RefusedError(403, "Repository was archived so is read-only.")


def by_single_sign_on(what: str = "Personal Access token") -> RefusedError:
    """What a token is told that was not authorized for an organization's single sign-on."""
    words = "Resource protected by organization SAML enforcement. You must grant your"
    return RefusedError(403, f"{words} {what} access to this organization.")


def invalid(resource: str, message: str, field: str | None = None) -> RefusedError:
    """A 422 with one custom error."""
    error = {"resource": resource, "code": "custom", "message": message}
    if field is not None:
        error["field"] = field
    return RefusedError(422, "Validation Failed", [error])


def refuse_unpaid(repo: Repo) -> None:
    """Private repositories without a paid plan have no protection; raises RefusedError 403."""
    if repo.private and repo.free_plan:
        words = "Upgrade to GitHub Pro or make this repository public to enable this feature."
        raise RefusedError(403, words)
