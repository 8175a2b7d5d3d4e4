"""Rulesets as GitHub keeps them: what they are for, whom they let through, and the rules in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.globs import fnmatch

if TYPE_CHECKING:
    from mergeq.sandbox.records import Repo

ALL = "~ALL"
DEFAULT_BRANCH = "~DEFAULT_BRANCH"
OF_PUSHES = ("file_extension_restriction", "file_path_restriction", "max_file_path_length", "max_file_size")
"""The rules of rulesets about pushes, which have no others."""


class Enforcement(StrEnum):
    """Whether a ruleset refuses, only looks on, or sleeps."""

    ACTIVE = "active"
    EVALUATE = "evaluate"
    DISABLED = "disabled"


class BypassMode(StrEnum):
    """When an actor is let through: for every write, for merging pull requests, or without anybody noticing."""

    ALWAYS = "always"
    PULL_REQUEST = "pull_request"
    EXEMPT = "exempt"


@dataclass(frozen=True, slots=True)
class BypassActor:
    """Whom a ruleset lets through; ``who`` is the login, team slug or role that the id stands for."""

    kind: str
    id: int | None
    mode: BypassMode
    who: str = ""

    def is_actor(self, repo: Repo, login: str) -> bool:
        """Whether somebody is meant by it; a role means who has just that role."""
        match self.kind:
            case "OrganizationAdmin":
                return repo.people.is_admin(login)
            case "RepositoryRole":
                return repo.people.role_of(login) == self.who
            case "Team":
                return login in repo.people.teams.get(self.who, ())
        return login == self.who


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, with its parameters as REST writes them; None where it has none."""

    type: str
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ruleset:
    """Rules for the refs of one repository, or of those of an organization that its conditions name.

    ``source`` is ``ORG/REPO`` or ``ORG``; ``conditions`` stand as REST writes them.
    """

    id: int
    name: str
    source: str
    target: str
    enforcement: Enforcement
    conditions: Mapping[str, Any]
    rules: tuple[Rule, ...]
    bypass: tuple[BypassActor, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def of_owner(self) -> bool:
        return "/" not in self.source

    @property
    def is_about_pushes(self) -> bool:
        """Whether it is about what is pushed, wherever to, and not about some refs."""
        return self.target == "push"

    def covers(self, repo: Repo, ref: str) -> bool:
        """Whether it is about this ref, whatever its enforcement."""
        if self.is_about_pushes:
            return self.chooses(repo)
        prefix = "refs/tags/" if self.target == "tag" else "refs/heads/"
        return ref.startswith(prefix) and self.chooses(repo) and self._names(repo, ref)

    def chooses(self, repo: Repo) -> bool:
        """Whether it is for this repository: all its conditions about repositories must hold."""
        if not self.of_owner:
            return True
        by_name = self.conditions.get("repository_name")
        by_id = self.conditions.get("repository_id")
        by_property = self.conditions.get("repository_property")
        return (
            (by_name is None or _chosen(by_name, lambda glob: glob == ALL or fnmatch(glob, repo.name)))
            and (by_id is None or repo.id in by_id.get("repository_ids", ()))
            and (by_property is None or _chosen(by_property, lambda asked: _has(repo, asked)))
        )

    def _names(self, repo: Repo, ref: str) -> bool:
        default = f"refs/heads/{repo.default_branch}"

        def matches(glob: str) -> bool:
            return glob == ALL or (ref == default if glob == DEFAULT_BRANCH else fnmatch(glob, ref))

        return _chosen(self.conditions.get("ref_name") or {}, matches)

    def mode_for(self, repo: Repo, login: str) -> BypassMode | None:
        """How it lets somebody through; None if it does not. The widest that applies counts."""
        modes = {actor.mode for actor in self.bypass if actor.is_actor(repo, login)}
        return next((mode for mode in (BypassMode.EXEMPT, *BypassMode) if mode in modes), None)


def _chosen(condition: Mapping[str, Any], matches: Any) -> bool:
    included: Iterable[Any] = condition.get("include") or ()
    excluded: Iterable[Any] = condition.get("exclude") or ()
    return any(map(matches, included)) and not any(map(matches, excluded))


def _has(repo: Repo, asked: Mapping[str, Any]) -> bool:
    return repo.properties.get(asked["name"]) in asked["property_values"]


@dataclass(frozen=True, slots=True)
class RuleSuite:
    """How the rulesets judged one write: ``pass``, ``fail``, or ``bypass`` where somebody was let through."""

    id: int
    ref: str
    before: str
    after: str
    actor: str
    at: float
    result: str
    sentences: tuple[str, ...] = ()


def covering(repo: Repo, ref: str) -> tuple[Ruleset, ...]:
    """The active rulesets about a ref, the organization's after the repository's own.

    Those about pushes bind the forks of a repository too.
    """
    known = [(ruleset, repo) for ruleset in (*repo.rulesets.values(), *repo.owner_rulesets.values())]
    above = repo.fork_of
    while above is not None:
        theirs = (*above.rulesets.values(), *above.owner_rulesets.values())
        known += [(ruleset, above) for ruleset in theirs if ruleset.is_about_pushes]
        above = above.fork_of
    return tuple(r for r, where in known if r.enforcement is Enforcement.ACTIVE and r.covers(where, ref))
