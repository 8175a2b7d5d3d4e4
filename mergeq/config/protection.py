"""Prow's `branch-protection:` section: its levels as written (P1); what they come to says `core/branchprotector.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mergeq.config.documents import Path_
from mergeq.config.queue import Leaf, keys_of
from mergeq.config.reading import Reading, Spot, compiled
from mergeq.core.branchprotector import Policies, Policy, applied
from mergeq.core.contexts import Broken
from mergeq.core.pull import Branch

_ACTORS = {"users": list, "teams": list}
_FIELDS: dict[str, Any] = {
    "protect": bool,
    "unmanaged": bool,
    "required_status_checks": {"contexts": list, "strict": bool},
    "enforce_admins": bool,
    "restrictions": {"apps": list, **_ACTORS},
    "required_pull_request_reviews": {
        "dismissal_restrictions": _ACTORS,
        "dismiss_stale_reviews": bool,
        "require_code_owner_reviews": bool,
        "required_approving_review_count": int,
        "bypass_pull_request_allowances": _ACTORS,
    },
    "required_linear_history": bool,
    "allow_force_pushes": bool,
    "allow_deletions": bool,
    "require_signed_commits": bool,
    "require_manually_triggered_jobs": bool,
    "include": list,
    "exclude": list,
}
_GLOBAL_FLAGS = (
    "protect-tested-repos",
    "allow_disabled_policies",
    "allow_disabled_job_policies",
    "protect_repos_with_optional_jobs",
)


_NOWHERE = Spot("", ())


@dataclass(frozen=True, slots=True)
class Level:
    """What one level says, and the ``file:line`` of each of its fields."""

    key: str
    policy: Policy = field(default_factory=dict)
    places: Mapping[Leaf, str] = field(default_factory=dict)
    spot: Spot = _NOWHERE

    @property
    def breadth(self) -> int:
        """How narrow it is: 0 for everyone, 3 for a branch."""
        return 0 if self.key == "*" else 1 + ("/" in self.key) + (":" in self.key)

    @property
    def place(self) -> str:
        """Where it stands, as ``file:line``."""
        return lined(self.spot)

    def joined(self, other: Self) -> Self:
        """The same with what another file says of it."""
        policy = applied(self.policy, other.policy)
        return type(self)(self.key, policy, {**self.places, **other.places}, self.spot if self.policy else other.spot)


@dataclass(frozen=True, slots=True)
class BranchProtection(Policies):
    """The section of all files, and where each level of it and every field stands."""

    spots: Mapping[str, Spot] = field(default_factory=dict)
    places: Mapping[str, Mapping[Leaf, str]] = field(default_factory=dict)

    def chain(self, branch: Branch) -> tuple[Level, ...]:
        """The levels that lead to a branch, broadest first."""
        keys = (key for key in keys_of(branch) if key in self.levels)
        return tuple(Level(key, self.levels[key], self.places[key], self.spots[key]) for key in keys)


def required_contexts(policy: Policy | None) -> frozenset[str]:
    """The contexts that a policy in force requires: those of a protected branch (T1.60)."""
    if policy is None or policy.get("protect") is not True:
        return frozenset()
    return frozenset(policy.get("required_status_checks", {}).get("contexts", ()))


def lined(spot: Spot) -> str:
    """``file:line`` of a spot."""
    return spot.place.rpartition(":")[0]


class ProtectionSection:
    """The section of all documents, united; a policy that stands in two of them is a problem (P1.28)."""

    def __init__(self, reading: Reading) -> None:
        self._levels: dict[str, Policy] = {}
        self._flags: dict[str, bool] = {}
        self._spots: dict[str, Spot] = {}
        self._places: dict[str, dict[Leaf, str]] = {}
        self._reading = reading

    def result(self) -> BranchProtection:
        """What was read."""
        return BranchProtection(self._levels, self._flags, self._spots, self._places)

    def read(self, section: Any) -> None:
        """Read one document's section."""
        path: Path_ = ("branch-protection",)
        reading = self._reading
        if section is None:
            return
        section = self._level("*", section, path, ("orgs", *_GLOBAL_FLAGS), "set a top-level policy")
        for flag in _GLOBAL_FLAGS:
            if section.get(flag) is not None and reading.expect(section[flag], bool, (*path, flag)):
                if flag in self._flags:
                    reading.problem((*path, flag), f"both branchprotection configs set {flag}", "keep one")
                self._flags[flag] = section[flag]
        if section.get("include") and section.get("exclude"):
            reading.problem(
                (*path, "include"),
                "Forbidden to set both Policy.Include and Policy.Exclude, Please use either Include or Exclude!",
                "keep one",
            )
        for org, in_org in reading.children(section, "orgs", path).items():
            at_org = (*path, "orgs", org)
            org_level = self._level(org, in_org, at_org, ("repos",), f"define a policy for org {org}")
            for repo, in_repo in reading.children(org_level, "repos", at_org).items():
                name, at_repo = f"{org}/{repo}", (*at_org, "repos", repo)
                repo_level = self._level(name, in_repo, at_repo, ("branches",), f"define a policy for repo {name}")
                branches = reading.children(repo_level, "branches", at_repo)
                reading.branch_names(branches, (*at_repo, "branches"))
                for branch, in_branch in branches.items():
                    twice = f"define a policy for branch {branch} in repo {name}"
                    self._level(f"{name}:{branch}", in_branch, (*at_repo, "branches", branch), (), twice)

    def _level(self, key: str, node: Any, path: Path_, below: tuple[str, ...], twice: str) -> dict[str, Any]:
        """Take in the policy of a level, and give what stands there."""
        known = (*below, *_FIELDS)
        values = self._reading.tidy({} if node is None else node, known, path, below=next(iter(below), ""))
        places = self._places.setdefault(key, {})
        said = {name: value for name, value in values.items() if name not in below}
        policy = self._fields(said, path, _FIELDS, places, ())
        before = self._levels.get(key, {})
        if _says_something(policy) and _says_something(before):
            self._reading.problem(path, f"both branchprotection configs {twice}", "keep one")
        if _says_something(policy) or key not in self._levels:
            self._spots[key] = self._reading.spot(path)
        self._levels[key] = {**before, **policy}
        return values

    def _fields(
        self, node: dict[str, Any], path: Path_, kinds: Mapping[str, Any], places: dict[Leaf, str], above: Leaf
    ) -> dict[str, Any]:
        """The fields that are set, each of its kind, and their `places`."""
        policy: dict[str, Any] = {}
        for key, value in node.items():
            spot, kind, leaf = (*path, key), kinds[key], (*above, key)
            if value is None:
                continue
            if not (isinstance(kind, dict) and value):  # else what is in it has places
                places[leaf] = lined(self._reading.spot(spot))
            if isinstance(kind, dict):
                if self._reading.expect(value, dict, spot):
                    policy[key] = self._fields(self._reading.tidy(value, kind, spot), spot, kind, places, leaf)
            elif kind is list:
                policy[key] = list(self._reading.names(value, spot))
                if key in {"include", "exclude"}:
                    self._expressions(policy[key], spot)
            elif self._reading.expect(value, kind, spot):
                policy[key] = value
                if kind is int and not 0 <= value <= 6:
                    self._reading.warn(spot, f"{value} is not a number that GitHub takes", "use 0 to 6")
        return policy

    def _expressions(self, texts: list[str], path: Path_) -> None:
        """Warn about what does not compile: in Prow it stops each repository that it is about (P1.27)."""
        for index, text in enumerate(texts):
            if isinstance(found := compiled(text), Broken):
                self._reading.warn((*path, index), f'regex "{text}" is not valid: {found.why}', "mend it; it is RE2's")


def _says_something(policy: Policy) -> bool:
    """Whether a policy differs from an empty one; empty lists do not (P1.28)."""
    return any(value != [] for value in policy.values())
