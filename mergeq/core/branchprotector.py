"""Prow's branchprotector as it is: what its levels come to for a branch, the body it writes, and what a whole run of it
would do (P2-P4), defects included. mergeq writes that body under `fields: prow`; the rest is there to be compared with
(D20). What mergeq does of its own accord is decided in `core/planning.py`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergeq.core.contexts import Broken, Pattern
from mergeq.core.protection import NOBODY, OFF, PROW_FIELDS, Actors, Field, Values, spoken
from mergeq.core.pull import Branch

JSON = Mapping[str, Any]
Policy = Mapping[str, Any]
"""The policy fields that one level sets, or that several come to, under Prow's names; what is unset is left out."""

UNDECIDED = "defined branch policies must set protect or unmanaged=true"
_NOT_DEFINING = frozenset({"unmanaged", "include", "exclude"})
_MANUAL = "require_manually_triggered_jobs"
_COUNT = "required_approving_review_count"
_SWITCHES = ("required_linear_history", "allow_force_pushes", "allow_deletions")
_REVIEW_SWITCHES = ("dismiss_stale_reviews", "require_code_owner_reviews")
_REVIEW_LISTS = ("dismissal_restrictions", "bypass_pull_request_allowances")
_PEOPLE = ("users", "teams")
_HEADS = {"required_status_checks": Field.CONTEXTS, "required_pull_request_reviews": Field.REVIEWS}
"""What a section of a rule needs to be there at all."""
_ADVISORY_FORK = re.compile(r"[\w-]+-ghsa-[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class JobContexts:
    """The contexts that jobs report on one branch, by what they demand."""

    required: frozenset[str] = frozenset()
    required_if_present: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_NO_JOBS = JobContexts()


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of each level (``*``, org, ``org/repo``, ``org/repo:branch``) as written, and the flags for everyone.
    An empty policy is a level that is named and sets nothing.
    """

    levels: Mapping[str, Policy] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)

    def merged(self, branch: Branch) -> Policy:
        """The levels of a branch, the narrower applied to the broader (P2.1-P2.7). A branch without a name stands for
        its repository, one without a repository for its organization.
        """
        policy: Policy = {}
        for key in ("*", branch.org, branch.full_repo, str(branch)):
            if level := self.levels.get(key):
                policy = applied(policy, level)
        return policy

    def of(self, branch: Branch, jobs: JobContexts) -> tuple[Policy | None, str]:
        """The policy in force on a branch, None when there is none, and why it cannot be told (P2.9, P2.19, P2.22)."""
        if branch.org not in self.levels:
            return None, ""
        return self.decided(self.merged(branch), jobs, branch, is_named=str(branch) in self.levels)

    def decided(
        self, policy: Policy, jobs: JobContexts, branch: Branch, *, is_named: bool
    ) -> tuple[Policy | None, str]:
        """What merged levels come to with the jobs of a branch, None for nothing, and why it cannot be told: UNDECIDED
        (P2.9), or P2.19.
        """
        if is_named and "protect" not in policy and policy.get("unmanaged") is not True:
            return None, UNDECIDED
        softer = self.flags.get("protect_repos_with_optional_jobs") and (jobs.required_if_present or jobs.optional)
        if jobs.required or softer:
            if policy.get("protect") is False:
                allowed = self.flags.get("allow_disabled_job_policies")
                return None, "" if allowed else "required prow jobs require branch protection"
            tested: dict[str, Any] = {"required_status_checks": {"contexts": sorted(jobs.required)}}
            if self.flags.get("protect-tested-repos"):
                tested["protect"] = True
            policy = applied(policy, tested)
        if _is_disabled(policy) and not self.flags.get("allow_disabled_policies"):
            whom = _label(branch).rstrip("=/")
            return None, f"{whom} defines a policy, which requires protect: true"
        return (policy, "") if is_defined(policy) else (None, "")

    def below(self, key: str) -> Iterator[str]:
        """The levels that are written under one."""
        return (one for one in self.levels if one != key and (key == "*" or one.startswith((f"{key}/", f"{key}:"))))

    def is_left_alone(self, key: str, policy: Policy) -> bool:
        """Whether a level is unmanaged, and nothing that is written under it says otherwise (P2.13)."""
        return policy.get("unmanaged") is True and not any(
            self.levels[one].get("unmanaged") is False for one in self.below(key)
        )


def applied(parent: Policy, child: Policy) -> Policy:
    """A parent policy with a child's on top: a set scalar wins, lists are united, objects are merged (P2.2-P2.4)."""
    merged = dict(parent)
    for key, value in child.items():
        above = merged.get(key)
        if isinstance(value, dict) and isinstance(above, dict):
            merged[key] = applied(above, value)
        elif isinstance(value, list) and isinstance(above, list):
            merged[key] = sorted({*above, *value})
        else:
            merged[key] = value
    return merged


def is_defined(keys: Iterable[str]) -> bool:
    """Whether any of the fields is one that makes a policy (P2.18)."""
    return any(key not in _NOT_DEFINING for key in keys)


def _is_disabled(policy: Policy) -> bool:
    """Whether a policy says what is demanded, and that it is not (P2.19)."""
    return policy.get("protect") is False and is_defined(key for key in policy if key != "protect")


def _label(branch: Branch) -> str:
    return f"{branch.full_repo}={branch.name}"


def request(policy: Policy, *, apps: bool) -> dict[str, Any] | None:
    """What Prow sends to ``PUT …/protection`` for a policy in force; None where it takes protection away (P4.1, P4.21).
    `apps`: whether who may push includes apps (``--enable-apps-restrictions``, P4.7).
    """
    return body(policy, apps=apps) if policy.get("protect") else None


def body(policy: Policy, *, apps: bool) -> dict[str, Any]:
    """A policy as that body, all seven keys present, whatever it says of `protect` (P4.1-P4.9)."""
    checks, pushers = policy.get("required_status_checks"), policy.get("restrictions")
    kinds = ("apps", *_PEOPLE) if apps else _PEOPLE
    return {
        "required_status_checks": None
        if checks is None
        else {"strict": checks.get("strict", False), "contexts": _unique(checks.get("contexts", ()))},
        "enforce_admins": policy.get("enforce_admins", False),
        "required_pull_request_reviews": reviews(policy.get("required_pull_request_reviews")),
        "restrictions": None if pushers is None else _actors(pushers, kinds),
        **{key: policy.get(key, False) for key in _SWITCHES},
    }


def reviews(policy: Policy | None) -> dict[str, Any] | None:
    """The reviews of the body: None also where a policy does not say how many there have to be (P1.19, P4.5, P4.6)."""
    if policy is None or _COUNT not in policy:
        return None
    return {
        **{key: policy.get(key, False) for key in _REVIEW_SWITCHES},
        _COUNT: policy[_COUNT],
        **{key: _actors(policy[key], _PEOPLE) if key in policy else {} for key in _REVIEW_LISTS},
    }


def policy_of(values: Values) -> Policy:
    """Every field of a rule as the policy that asks for it, so that `request` is what Prow would send for it. What Prow
    cannot say is left out, and so falls to GitHub's defaults when it is sent (P4.12); signatures are sent apart.
    """
    found: dict[str, Any] = {"protect": True}
    for name in PROW_FIELDS:
        section, _, leaf = name.partition(".")
        if values[name] != OFF[name] and values[_HEADS.get(section, name)] is not None:
            said = spoken(values[name])
            said = [check["context"] for check in said] if name is Field.CONTEXTS else said
            (found.setdefault(section, {}) if leaf else found)[leaf or section] = said
    return found


def _actors(policy: Policy, kinds: Sequence[str]) -> dict[str, list[str]]:
    return {kind: _unique(policy.get(kind, ())) for kind in kinds}


def _unique(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def equal(state: JSON | None, wanted: JSON | None) -> bool:
    """Whether Prow would take what ``GET …/protection`` answers for what it would send, signatures aside (P4.13-P4.20).
    `state` is None where a branch is not protected, `wanted` where it is not to be.
    """
    if state is None or wanted is None:
        return state is None and wanted is None
    return (
        _same_checks(state.get("required_status_checks"), wanted["required_status_checks"])
        and _is_on(state, "enforce_admins") == bool(wanted["enforce_admins"])
        and _same_reviews(state.get("required_pull_request_reviews"), wanted["required_pull_request_reviews"])
        and _same_pushers(state.get("restrictions"), wanted["restrictions"])
        and all(_is_on(state, key) == wanted[key] for key in _SWITCHES)
    )


def equal_signatures(state: JSON | None, wish: bool | None) -> bool:
    """Whether signatures are required as wished; no wish is always fulfilled (P4.20)."""
    return wish is None or wish == (state is not None and _is_on(state, "required_signatures"))


def _is_on(state: JSON, key: str) -> bool:
    return bool((state.get(key) or {}).get("enabled"))


def _same_checks(state: JSON | None, wanted: JSON | None) -> bool:
    if state is None or wanted is None:
        return state is None and wanted is None
    same_strict: bool = state.get("strict", False) == wanted["strict"]
    return same_strict and _same_names(state.get("contexts") or (), wanted.get("contexts"))


def _same_reviews(state: JSON | None, wanted: JSON | None) -> bool:
    if state is None or wanted is None:
        return state is None and wanted is None
    return (
        all(state.get(key, False) == wanted[key] for key in _REVIEW_SWITCHES)
        and state.get(_COUNT, 0) == wanted[_COUNT]
        and all(_same_actors(state.get(key), wanted[key]) for key in _REVIEW_LISTS)
    )


def _same_pushers(state: JSON | None, wanted: JSON | None) -> bool:
    """As `_same_actors`; apps that Prow does not speak of may be whoever they are (P4.18)."""
    if state is None or wanted is None:
        return state is None and (wanted is None or not wanted)
    apps = [app["slug"] for app in state.get("apps") or ()]
    return ("apps" not in wanted or _same_names(apps, wanted["apps"])) and _same_actors(state, wanted)


def _same_actors(state: JSON | None, wanted: JSON) -> bool:
    """Where GitHub tells of no list nobody may be asked for, not even an empty list; where it tells of one, teams have
    to be asked for, if only as an empty list (P4.17).
    """
    if state is None:
        return not wanted
    users, teams = [_login(one["login"]) for one in state.get("users") or ()], state.get("teams") or ()
    same_teams = _same_names([team["slug"] for team in teams], wanted.get("teams"))
    return same_teams and _same_names(users, [_login(user) for user in wanted.get("users", ())])


def _same_names(state: Collection[str], wanted: Collection[str] | None) -> bool:
    return wanted is not None and sorted(state) == sorted(wanted)


def _login(name: str) -> str:
    return name.removeprefix("@").lower()


def authorized(apps: Iterable[JSON], users: Iterable[JSON], teams: Iterable[JSON]) -> Actors:
    """Who may be let to push to a repository, as Prow takes it from GitHub's lists of installations, collaborators and
    teams: apps that write contents, collaborators that push, teams that push, but not those that maintain (P3.12).
    """
    return Actors(
        frozenset(_login(user["login"]) for user in users if {"push", "admin"} & _granted(user)),
        frozenset(team["slug"] for team in teams if team["permission"] in {"push", "admin"}),
        frozenset(app["app_slug"] for app in apps if app["permissions"].get("contents") == "write"),
    )


def _granted(user: JSON) -> set[str]:
    return {name for name, has in user["permissions"].items() if has}


def unauthorized(repo: str, wanted: JSON | None, allowed: Actors) -> tuple[str, ...]:
    """What Prow says of each list of a body that names somebody who may not push to ``ORG/REPO`` (P3.12)."""
    asked = (wanted or {}).get("restrictions") or {}
    words = {"apps": "apps", "users": "collaborators", "teams": "teams"}
    found = {kind: sorted({*asked.get(kind, ())} - getattr(allowed, kind)) for kind in words}
    return tuple(
        f"the following {words[kind]} are not authorized for {repo}: [{' '.join(names)}]"
        for kind, names in found.items()
        if names
    )


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line of the process (P1.31, P1.32); repositories as ``org/repo``."""

    verify_restrictions: bool = False
    enable_apps_restrictions: bool = False
    enabled_orgs: frozenset[str] = frozenset()
    enabled_repos: frozenset[str] = frozenset()
    disabled_orgs: frozenset[str] = frozenset()
    disabled_repos: frozenset[str] = frozenset()

    def refusal(self) -> str:
        """Why the process does not start with them; empty when it does."""
        for word, repos in (("enabled", self.enabled_repos), ("disabled", self.disabled_repos)):
            for repo in sorted(repos):
                if not _is_repo(repo):
                    return f'--github-{word}-repo={repo} is invalid: "{repo}" is not in org/repo format'
        pairs = (("org", self.enabled_orgs & self.disabled_orgs), ("repo", self.enabled_repos & self.disabled_repos))
        both = ((word, " ".join(sorted(names))) for word, names in pairs if names)
        return next(
            (f"[{names}] is in both --github-enabled-{word} and --github-disabled-{word}" for word, names in both), ""
        )

    def allow(self, org: str, repo: str = "") -> bool:
        """Whether something is within their scope. Asked without a repository about an organization, those that are
        enabled by name do not count (P3.3).
        """
        full = f"{org}/{repo}"
        enabled = (
            not (self.enabled_orgs or self.enabled_repos) or org in self.enabled_orgs or full in self.enabled_repos
        )
        return enabled and org not in self.disabled_orgs and full not in self.disabled_repos


def _is_repo(text: str) -> bool:
    org, slash, repo = text.partition("/")
    return bool(org and slash and repo and "/" not in repo)


@dataclass(frozen=True, slots=True)
class SeenBranch:
    """A branch as GitHub lists it, and what it answers for its protection: None for ``Branch not protected``."""

    name: str
    is_protected: bool = False
    protection: JSON | None = None


@dataclass(frozen=True, slots=True)
class SeenRepo:
    """A repository as GitHub lists it."""

    name: str
    branches: tuple[SeenBranch, ...] = ()
    is_archived: bool = False
    is_private: bool = False
    authorized: Actors = NOBODY

    @property
    def is_passed_over(self) -> bool:
        """Whether Prow looks no further: it is archived, or taken for the fork of a security advisory (P3.5)."""
        return self.is_archived or (self.is_private and _ADVISORY_FORK.fullmatch(self.name) is not None)


@dataclass(frozen=True, slots=True)
class Write:
    """One change that Prow would make: `body` is what it puts, None to take protection away. `signatures`: what it asks
    for right after, None for nothing (P4.10).
    """

    branch: Branch
    body: Mapping[str, Any] | None
    signatures: bool | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run comes to. `reads` are the branches whose protection is asked for; `errors` has a tuple for each that
    Prow counts, of all that went wrong in it (P3.18).
    """

    writes: tuple[Write, ...] = ()
    reads: tuple[Branch, ...] = ()
    errors: tuple[tuple[str, ...], ...] = ()


Jobs = Mapping[str, Callable[[str, bool], JobContexts]]
"""By ``org/repo``: the contexts of its jobs on a branch, told whether jobs that run on request alone are required."""
_Step = Write | Branch | str


def run(
    policies: Policies,
    github: Mapping[str, Sequence[SeenRepo]],
    jobs: Jobs,
    flags: Flags,
    compiled: Callable[[str], Pattern],
) -> Run:
    """What branchprotector would do to a GitHub of these organizations (P3). `compiled` understands the regular
    expressions of `include` and `exclude`, giving Broken for what is none.
    """
    one = _Run(policies, github, jobs, flags, compiled, set())
    writes, reads, errors = list[Write](), list[Branch](), list[tuple[str, ...]]()
    for steps in one.parts():
        failed = list[str]()
        for step in steps:
            if isinstance(step, str):
                failed.append(step)
            elif isinstance(step, Write):
                writes.append(step)
            else:
                reads.append(step)
        errors += [tuple(failed)] if failed else []
    return Run(tuple(writes), tuple(reads), tuple(errors))


@dataclass(frozen=True, slots=True)
class _Run:
    """The steps of a run: what is written, what is read (a Branch), and what goes wrong (a text)."""

    policies: Policies
    github: Mapping[str, Sequence[SeenRepo]]
    jobs: Jobs
    flags: Flags
    compiled: Callable[[str], Pattern]
    visited: set[str]

    def parts(self) -> Iterator[Iterable[_Step]]:
        """The organizations of the configuration, then the repositories that jobs test (P3.2, P3.7)."""
        policies, levels = self.policies, self.policies.levels
        if policies.is_left_alone("*", levels.get("*", {})):
            return
        for org in (key for key in levels if key != "*" and "/" not in key):
            if self.flags.allow(org):
                yield _within(f"update {org}", self._org(org))
        if policies.flags.get("protect-tested-repos"):
            for full in self.jobs:
                org, _, repo = full.partition("/")
                if not _is_repo(full):
                    yield [f"bad presubmit repo: {full}"]
                elif full not in self.visited and self.flags.allow(org, repo):
                    yield _within(f"update {full}", self._repo(org, repo))

    def _org(self, org: str) -> Iterator[_Step]:
        """Every repository of an organization whose policy says `protect`, else those that are named (P3.4)."""
        policy = self.policies.merged(Branch(org, "", ""))
        if self.policies.is_left_alone(org, policy):
            return
        names: Iterable[str]
        if "protect" not in policy:
            names = (key.partition("/")[2] for key in self.policies.below(org) if ":" not in key)
        elif org in self.github:
            names = [repo.name for repo in self.github[org] if not repo.is_passed_over]
        else:
            yield f"list repos: org {org} not found"
            return
        for repo in names:
            if self.flags.allow(org, repo):
                yield from _within(f"update {repo}", self._repo(org, repo))

    def _repo(self, org: str, repo: str) -> Iterator[_Step]:
        full = f"{org}/{repo}"
        self.visited.add(full)
        policy = self.policies.merged(Branch(org, repo, ""))
        if self.policies.is_left_alone(full, policy):
            return
        found = next((one for one in self.github.get(org, ()) if one.name == repo), None)
        if found is None:
            yield f"could not get repo to check for archival: repo {full} not found"
        if found is None or found.is_passed_over:
            return
        asked = (policy.get(key) for key in ("include", "exclude"))
        filters = [self.compiled("|".join(texts)) if texts else None for texts in asked]
        if broken := [one.why for one in filters if isinstance(one, Broken)]:
            yield broken[0]
            return
        for seen in found.branches:
            branch = Branch(org, repo, seen.name)
            if str(branch) in self.policies.levels or _is_taken(seen.name, *filters):
                yield from self._branch(branch, seen, found.authorized)

    def _branch(self, branch: Branch, seen: SeenBranch, authorized: Actors) -> Iterator[_Step]:
        """What becomes of one branch under its merged policy (P3.10-P3.13, P4.13, P4.21)."""
        policy = self.policies.merged(branch)
        if policy.get("unmanaged") is True:
            return
        whom = f"update {branch.name} from protected={str(seen.is_protected).lower()}"
        jobs = self.jobs.get(branch.full_repo)
        contexts = jobs(branch.name, bool(policy.get(_MANUAL))) if jobs else _NO_JOBS
        is_named = str(branch) in self.policies.levels
        settled, refusal = self.policies.decided(policy, contexts, branch, is_named=is_named)
        if refusal:
            yield f"get {branch.name}: {refusal}" if refusal == UNDECIDED else f"{whom}: get policy: {refusal}"
        if settled is None or "protect" not in settled or not (settled["protect"] or seen.is_protected):
            return
        apps, label = self.flags.enable_apps_restrictions, _label(branch)
        if not apps and "apps" in settled.get("restrictions", {}):
            yield (
                f"{whom}: 'enable-apps-restrictions' command line flag is not true, "
                f"but Apps Restrictions are maintained for {label}"
            )
            return
        wanted = request(settled, apps=apps)
        wrong = unauthorized(branch.full_repo, wanted, authorized) if self.flags.verify_restrictions else ()
        if wrong:
            yield f"{whom}: invalid branch protection request: {label}: " + "\n".join(wrong)
            return
        yield branch
        signatures = settled.get("require_signed_commits")
        if not (equal(seen.protection, wanted) and equal_signatures(seen.protection, signatures)):
            yield Write(branch, wanted, None if wanted is None else signatures)


def _within(whom: str, steps: Iterable[_Step]) -> Iterator[_Step]:
    """The same steps, what went wrong saying in whom."""
    return (f"{whom}: {step}" if isinstance(step, str) else step for step in steps)


def _is_taken(name: str, include: Pattern | None, exclude: Pattern | None) -> bool:
    """Whether a branch that is not named is looked at: by `include` where there is any, else by `exclude` (P3.9)."""
    return bool(include.search(name)) if include else not (exclude and exclude.search(name))


def disabled_repos(policies: Policies) -> tuple[str, ...]:
    """The repositories, as ``org/repo``, that say what is demanded, and that it is not, if that is allowed (P2.25)."""
    if not policies.flags.get("allow_disabled_policies"):
        return ()
    repos = (key for key in policies.levels if "/" in key and ":" not in key)
    return tuple(sorted(full for full in repos if _is_disabled(policies.merged(_branch_of(full)))))


def unprotected_branches(policies: Policies, jobs: Jobs) -> tuple[str, ...]:
    """The branches, as ``org/repo=b1,b2``, that the same holds for, or that are not protected though jobs that are
    required run on them, where that is allowed (P2.25).
    """
    found: dict[str, list[str]] = {}
    for branch in (_branch_of(key) for key in sorted(policies.levels) if ":" in key):
        policy, _ = policies.decided(policies.merged(branch), _NO_JOBS, branch, is_named=False)
        if policy is None or policy.get("protect") is not False:
            continue
        tested = policies.flags.get("allow_disabled_job_policies") and jobs.get(branch.full_repo)
        if _is_disabled(policy) or (tested and tested(branch.name, bool(policy.get(_MANUAL))).required):
            found.setdefault(branch.full_repo, []).append(branch.name)
    return tuple(f"{full}={','.join(names)}" for full, names in sorted(found.items()))


def _branch_of(key: str) -> Branch:
    full, _, name = key.partition(":")
    org, _, repo = full.partition("/")
    return Branch(org, repo, name)
