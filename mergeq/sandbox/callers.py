"""Who is asking, and what their token lets them see and do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mergeq.sandbox.permissions import Needs, met, public
from mergeq.sandbox.rates import Payer
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.state import WorldState
from mergeq.sandbox.users import Grant, TokenKind, narrowed

NOT_BY_INTEGRATION = "Resource not accessible by integration"
NOT_BY_TOKEN = "Resource not accessible by personal access token"  # noqa: S105 - a sentence
_FREE_SEATS = 20
_EXTRA = 50


@dataclass(frozen=True, slots=True)
class Caller:
    """``grant`` None: nobody signed in."""

    world: WorldState
    grant: Grant | None

    @property
    def login(self) -> str | None:
        return None if self.grant is None else self.grant.login

    @property
    def app(self) -> int | None:
        """The App that acts by itself; None for people, also where they act through one."""
        return self.grant.app if self.is_integration and self.grant is not None else None

    @property
    def is_integration(self) -> bool:
        return self.grant is not None and self.grant.kind is TokenKind.INSTALLATION

    @property
    def permissions(self) -> Mapping[str, str] | None:
        """What the token was given, no more than the installation still allows; None if it has no such limits."""
        grant = self.grant
        if grant is None or grant.permissions is None:
            return None
        if grant.installation is None:
            return grant.permissions
        installation = self.world.registry.installation(grant.installation)
        return {} if installation is None else narrowed(grant, installation.permissions).permissions

    @property
    def payer(self) -> Payer:
        """Whose rate limit is used: that of the user, of the installation, or of the address."""
        grant = self.grant
        if grant is None:
            return Payer("127.0.0.1", anonymous=True)
        if grant.installation is None:
            return Payer(f"user ID {self.world.users.id_of(grant.login)}")
        installation = self.world.registry.installation(grant.installation)
        covered = 0 if installation is None else sum(installation.covers(repo) for repo in self.world.repos())
        return Payer(f"installation ID {grant.installation}", extra=_EXTRA * max(covered - _FREE_SEATS, 0))

    def covers(self, repo: Repo) -> bool:
        """Whether the token was given for this repository."""
        grant = self.grant
        if grant is None or (grant.repos is not None and repo.id not in grant.repos):
            return False
        if grant.installation is not None:
            installation = self.world.registry.installation(grant.installation)
            return installation is not None and installation.covers(repo)
        if grant.app is not None and self.world.registry.on_repo(grant.app, repo) is None:
            return False
        return repo.people.role_of(grant.login) is not None

    def sees(self, repo: Repo) -> bool:
        """Whether the repository exists for this caller."""
        return not repo.private or self.covers(repo)

    def may(self, needs: Needs, repo: Repo | None) -> bool:
        """Whether the token was given what is needed; what the login may is another question."""
        held = self.permissions
        if held is None:
            return True
        if repo is not None and not repo.private and public(needs):
            return True
        return met(needs, held) and (repo is None or self.covers(repo))

    def administers(self, repo: Repo) -> bool:
        """Whether this caller may see and change a repository's settings: by role, or an App by permission."""
        if self.is_integration:
            return self.may(({"administration": "write"},), repo)
        return self.login is not None and repo.people.is_admin(self.login)

    def owns(self, org: str) -> bool:
        """Whether this caller may see and change an organization's settings; what an App may is not looked at."""
        users, login = self.world.users, self.login
        is_owner = login is not None and (users.is_admin(login) or users.members(org).get(login) == "admin")
        return is_owner or self.is_integration

    def refusal(self) -> RefusedError:
        """What GitHub says to a token that may not."""
        through_app = self.grant is not None and self.grant.app is not None
        return RefusedError(403, NOT_BY_INTEGRATION if through_app else NOT_BY_TOKEN)
