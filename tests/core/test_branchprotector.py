"""Prow's branchprotector, row by row of what is known of it (E1-E164): what it makes of a configuration and a GitHub.

Unless a row says otherwise, GitHub says of every branch that it is protected and has nothing to show for it, everybody
who is asked for may push, and no flag is set but ``--verify-restrictions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import re2
import yaml

from mergeq.core import branchprotector as prow
from mergeq.core.branchprotector import (
    Flags,
    JobContexts,
    Policies,
    Policy,
    Run,
    SeenBranch,
    SeenRepo,
    applied,
    equal,
    equal_signatures,
    unauthorized,
)
from mergeq.core.contexts import Broken, Pattern
from mergeq.core.protection import NOBODY, OFF, Actors, Check, Field, Values, actors
from mergeq.core.pull import Branch

JSON = dict[str, Any]

BODY0: JSON = {
    "required_status_checks": None,
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
    "required_linear_history": False,
    "allow_force_pushes": False,
    "allow_deletions": False,
}
REVIEWS0: JSON = {
    "dismissal_restrictions": {},
    "dismiss_stale_reviews": False,
    "require_code_owner_reviews": False,
    "bypass_pull_request_allowances": {},
}
PUSH = actors(["cindy"], ["config-team", "org-team", "repo-team"], ["content-app"])
HARNESS = Flags(verify_restrictions=True)
APPS = replace(HARNESS, enable_apps_restrictions=True)


def checks(*contexts: str, strict: bool = False) -> JSON:
    return {"required_status_checks": {"strict": strict, "contexts": list(contexts)}}


def policies(text: str) -> Policies:
    """The levels of a section as YAML."""
    section = yaml.safe_load(text) or {}
    flags = ("protect-tested-repos", "allow_disabled_policies", "allow_disabled_job_policies")
    found = {flag: section.pop(flag) for flag in (*flags, "protect_repos_with_optional_jobs") if flag in section}
    levels: dict[str, Policy] = {}

    def take(node: JSON | None, key: str, *below: tuple[str, str]) -> None:
        rest = dict(node or {})
        if below:
            (name, mark), *others = below
            for one, inner in (rest.pop(name, None) or {}).items():
                take(inner, f"{key}{mark}{one}".removeprefix("*"), *others)
        levels[key] = rest

    take(section, "*", ("orgs", ""), ("repos", "/"), ("branches", ":"))
    return Policies(levels, found)


def branch(label: str) -> Branch:
    full, _, name = label.partition("=")
    org, _, repo = full.partition("/")
    return Branch(org, repo, name)


def compiled(text: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    try:
        found: Pattern = re2.compile(text, options)
    except re2.error:
        return Broken(text, "no RE2")
    return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """A configuration, a GitHub (``org/repo=branch`` of all that there is), and what comes of it: bodies, None
    where protection is taken away.
    """

    id: str
    config: str
    github: str = ""
    wrote: Mapping[str, JSON | None] = field(default_factory=dict)
    errors: int = 0
    said: str = ""
    flags: Flags = HARNESS
    states: Mapping[str, JSON] = field(default_factory=dict)
    unprotected: str = ""
    archived: str = ""
    private: str = ""
    authorized: Actors = PUSH
    signed: Mapping[str, bool] = field(default_factory=dict)
    jobs: Mapping[str, JobContexts] = field(default_factory=dict)
    reads: str | None = None

    def run(self) -> Run:
        repos: dict[str, dict[str, SeenRepo]] = {}
        for label in self.github.split():
            one = branch(label)
            seen = SeenBranch(one.name, label not in self.unprotected.split(), self.states.get(label))
            repo = SeenRepo(
                one.repo,
                is_archived=one.full_repo in self.archived.split(),
                is_private=one.full_repo in self.private.split(),
                authorized=self.authorized,
            )
            known = repos.setdefault(one.org, {}).setdefault(one.repo, repo)
            repos[one.org][one.repo] = replace(known, branches=(*known.branches, seen))
        github = {org: list(named.values()) for org, named in repos.items()}
        jobs = {repo: lambda _branch, _manual, found=found: found for repo, found in self.jobs.items()}
        return prow.run(policies(self.config), github, jobs, self.flags, compiled)


def label(of: Branch) -> str:
    return f"{of.full_repo}={of.name}"


REQUIRED = JobContexts(required=frozenset({"job"}))
OPTIONAL = JobContexts(optional=frozenset({"job"}))
FULL = """{protect: true, orgs: {kubernetes: {enforce_admins: true, required_status_checks: {strict: true,
  contexts: [config-presubmit, org-presubmit]}, required_pull_request_reviews: {required_approving_review_count: 3,
  require_code_owner_reviews: true, dismissal_restrictions: {users: [bob, jane], teams: [oncall, sres]},
  bypass_pull_request_allowances: {users: [fred], teams: [leads]}},
  restrictions: {%susers: [cindy], teams: [config-team, org-team]}}}}"""
FULL_APPS = FULL % "apps: [content-app], "
FULL_BODY: JSON = {
    **BODY0,
    **checks("config-presubmit", "org-presubmit", strict=True),
    "enforce_admins": True,
    "required_pull_request_reviews": {
        "dismissal_restrictions": {"users": ["bob", "jane"], "teams": ["oncall", "sres"]},
        "dismiss_stale_reviews": False,
        "require_code_owner_reviews": True,
        "required_approving_review_count": 3,
        "bypass_pull_request_allowances": {"users": ["fred"], "teams": ["leads"]},
    },
    "restrictions": {"apps": ["content-app"], "users": ["cindy"], "teams": ["config-team", "org-team"]},
}


def people(users: str = "", teams: str = "") -> JSON:
    return {"users": [{"login": one} for one in users.split()], "teams": [{"slug": one} for one in teams.split()]}


FULL_STATE: JSON = {
    "required_status_checks": {"strict": True, "contexts": ["org-presubmit", "config-presubmit"]},
    "enforce_admins": {"enabled": True},
    "required_pull_request_reviews": {
        "dismissal_restrictions": people("bob jane", "oncall sres"),
        "dismiss_stale_reviews": False,
        "require_code_owner_reviews": True,
        "required_approving_review_count": 3,
        "bypass_pull_request_allowances": people("fred", "leads"),
    },
    "restrictions": {**people("cindy", "config-team org-team"), "apps": [{"slug": "content-app"}]},
    "required_linear_history": {"enabled": False},
    "allow_force_pushes": {"enabled": False},
    "allow_deletions": {"enabled": False},
}
THREE = "cfgdef/repo1=master cfgdef/repo1=branch cfgdef/repo2=master"
EXAMPLE = """{required_status_checks: {contexts: [cla]}, orgs: {
  unprotected-org: {protect: false, repos: {
    protected-repo: {protect: true, required_status_checks: {contexts: [tested]}, branches: {
      secure: {required_status_checks: {contexts: [foo]}}}}}}}}"""


def three(**changed: Any) -> dict[str, JSON | None]:
    return {one: {**BODY0, **changed} for one in THREE.split()}


ROWS = [
    Row(id="E1 nothing is configured", config="", github="org/repo=master"),
    Row(
        id="E2 the repositories of an organization cannot be listed",
        config="{protect: true, orgs: {unknown: }}",
        errors=1,
        said="update unknown: list repos: org unknown not found",
    ),
    Row(
        id="E3 what is said of everyone holds for every branch of an organization that is named",
        config="{protect: true, orgs: {cfgdef: }}",
        github=THREE,
        wrote=three(),
    ),
    Row(
        id="E4 an organization protects what nobody else does",
        config="{protect: false, orgs: {this: {protect: true}, that: }}",
        github="this/yes=master that/no=master",
        states={"that/no=master": {}},
        wrote={"this/yes=master": BODY0, "that/no=master": None},
    ),
    Row(
        id="E5 a repository asks for more than its organization",
        config="""{orgs: {kubernetes: {protect: true, repos: {
            test-infra: {required_status_checks: {contexts: [hello-world]}}}}}}""",
        github="kubernetes/test-infra=master kubernetes/publishing-bot=master",
        wrote={
            "kubernetes/test-infra=master": {**BODY0, **checks("hello-world")},
            "kubernetes/publishing-bot=master": BODY0,
        },
    ),
    Row(
        id="E6 a branch that is named without saying what for",
        config="{orgs: {org: {repos: {repo: {branches: {branch: }}}}}}",
        github="org/repo=branch",
        errors=1,
        said="update org: update repo: get branch: defined branch policies must set protect or unmanaged=true",
    ),
    Row(
        id="E7 who may push to what is not protected",
        config="{protect: false, restrictions: {teams: [oncall]}, orgs: {org: }}",
        github="org/repo=push",
        errors=1,
        said="update org: update repo: update push from protected=true: get policy: org/repo=push defines a policy, "
        "which requires protect: true",
    ),
    Row(
        id="E8 contexts of what is not protected",
        config="{protect: false, required_status_checks: {contexts: [test-foo]}, orgs: {org: }}",
        github="org/repo=context",
        errors=1,
    ),
    Row(
        id="E9 a repository is taken out",
        config="{protect: false, orgs: {org: {protect: true, repos: {skip: {protect: false}}}}}",
        github="org/repo1=master org/repo1=branch org/skip=master",
        states={"org/skip=master": {}},
        wrote={"org/repo1=master": BODY0, "org/repo1=branch": BODY0, "org/skip=master": None},
    ),
    Row(
        id="E10 the organization is out of scope",
        config="{orgs: {org: {protect: true}}}",
        github="org/repo=master",
        flags=replace(HARNESS, disabled_orgs=frozenset({"org"})),
    ),
    Row(
        id="E11 another organization is out of scope",
        config="{orgs: {org: {protect: true}}}",
        github="org/repo=master",
        flags=replace(HARNESS, disabled_orgs=frozenset({"other"})),
        wrote={"org/repo=master": BODY0},
    ),
    Row(
        id="E12 one repository is out of scope",
        config="{orgs: {org: {protect: true}}}",
        github="org/repo1=master org/repo2=master",
        flags=replace(HARNESS, disabled_repos=frozenset({"org/repo2"})),
        wrote={"org/repo1=master": BODY0},
    ),
    Row(
        id="E13 an archived repository that is named",
        config="{orgs: {org: {protect: true, repos: {skip: {}}}}}",
        github="org/repo1=master org/repo1=branch org/skip=master",
        archived="org/skip",
        wrote={"org/repo1=master": BODY0, "org/repo1=branch": BODY0},
    ),
    Row(
        id="E14 contexts twice",
        config="""{protect: true, orgs: {org: }, required_status_checks: {
            contexts: [hello-world, duplicate-context, duplicate-context, hello-world]}}""",
        github="org/repo=master",
        wrote={"org/repo=master": {**BODY0, **checks("duplicate-context", "hello-world")}},
    ),
    Row(
        id="E15 a context at each level",
        config="""{protect: true, required_status_checks: {contexts: [config-presubmit]}, orgs: {org: {
            required_status_checks: {contexts: [org-presubmit]}, repos: {repo: {
            required_status_checks: {contexts: [repo-presubmit]}, branches: {master: {
            required_status_checks: {contexts: [branch-presubmit]}}}}}}}}""",
        github="org/repo=master",
        wrote={
            "org/repo=master": {
                **BODY0,
                **checks("branch-presubmit", "config-presubmit", "org-presubmit", "repo-presubmit"),
            }
        },
    ),
    Row(
        id="E16 a team at each level",
        config="""{protect: true, restrictions: {teams: [config-team]}, orgs: {org: {
            restrictions: {teams: [org-team]}, repos: {repo: {restrictions: {teams: [repo-team]},
            branches: {master: {restrictions: {teams: [branch-team]}}}}}}}}""",
        github="org/repo=master",
        authorized=replace(PUSH, teams=PUSH.teams | {"branch-team"}),
        wrote={
            "org/repo=master": {
                **BODY0,
                "restrictions": {"users": [], "teams": ["branch-team", "config-team", "org-team", "repo-team"]},
            }
        },
    ),
    Row(
        id="E17 everything there is",
        config=FULL_APPS,
        flags=APPS,
        github="kubernetes/test-infra=master",
        wrote={"kubernetes/test-infra=master": FULL_BODY},
    ),
    Row(
        id="E18 an organization is taken out of a policy that says more",
        config="{protect: true, enforce_admins: true, orgs: {parent: {protect: false}}}",
        github="parent/child=unprotected",
        errors=1,
    ),
    Row(
        id="E19 where that is allowed",
        config="{allow_disabled_policies: true, protect: true, enforce_admins: true, orgs: {parent: {protect: false}}}",
        github="parent/child=unprotected",
        states={"parent/child=unprotected": {}},
        wrote={"parent/child=unprotected": None},
    ),
    Row(
        id="E20 what is not protected is left so",
        config="{protect: true, orgs: {protect: {protect: true}, unprotected: {protect: false}}}",
        github="protect/update=master unprotected/skip=master",
        unprotected="protect/update=master unprotected/skip=master",
        wrote={"protect/update=master": BODY0},
    ),
    Row(
        id="E21 everything is there",
        config=FULL_APPS,
        flags=APPS,
        github="kubernetes/test-infra=master",
        states={"kubernetes/test-infra=master": FULL_STATE},
    ),
    Row(
        id="E22 apps that nobody speaks of",
        config=FULL % "",
        github="kubernetes/test-infra=master",
        states={"kubernetes/test-infra=master": FULL_STATE},
    ),
    Row(
        id="E23 reviews are missing, and checks too many",
        config="""{protect: true, enforce_admins: true, orgs: {org: },
            required_pull_request_reviews: {required_approving_review_count: 3}}""",
        github="org/repo=master",
        states={
            "org/repo=master": {
                "enforce_admins": {"enabled": True},
                "required_status_checks": {"strict": False, "contexts": ["ci"]},
            }
        },
        wrote={
            "org/repo=master": {
                **BODY0,
                "enforce_admins": True,
                "required_pull_request_reviews": {**REVIEWS0, "required_approving_review_count": 3},
            }
        },
    ),
    Row(
        id="E24 a repository excludes branches",
        config="{protect: true, orgs: {org: {repos: {repo: {exclude: ['sk.*']}}}}}",
        github="org/repo=master org/repo=skip",
        wrote={"org/repo=master": BODY0},
    ),
    Row(
        id="E25 an organization and a repository exclude branches",
        config="{protect: true, orgs: {org: {exclude: ['foo.*'], repos: {repo: {exclude: ['sk.*']}}}}}",
        github="org/repo=master org/repo=skip org/repo=foobar1",
        wrote={"org/repo=master": BODY0},
    ),
    Row(
        id="E26 a branch is excluded, and named",
        config="{protect: true, orgs: {org: {exclude: ['master.*'], repos: {repo: {branches: {master: }}}}}}",
        github="org/repo=master",
        wrote={"org/repo=master": BODY0},
    ),
    Row(
        id="E27 nobody of those who are asked for may push",
        config="""{protect: true, orgs: {org: {repos: {
            unauthorized-app: {restrictions: {apps: [nocontent-app]}},
            unauthorized-collaborator: {restrictions: {users: [joe]}},
            unauthorized-team: {restrictions: {teams: [readers]}}}}}}""",
        flags=APPS,
        github="org/unauthorized-app=master org/unauthorized-collaborator=master org/unauthorized-team=master",
        errors=1,
        said="update org: update unauthorized-app: update master from protected=true: invalid branch protection "
        "request: org/unauthorized-app=master: the following apps are not authorized for org/unauthorized-app: "
        "[nocontent-app]",
    ),
    Row(
        id="E28 nobody asks who may push",
        config="{protect: true, restrictions: {users: [cindy], teams: [config-team]}, orgs: {org: }}",
        flags=Flags(),
        authorized=NOBODY,
        github="org/unauthorized=master",
        wrote={"org/unauthorized=master": {**BODY0, "restrictions": {"users": ["cindy"], "teams": ["config-team"]}}},
    ),
    Row(
        id="E29 a branch with a sign in its name",
        config="{protect: true, orgs: {org: }}",
        github="org/repo1=test_#123",
        wrote={"org/repo1=test_#123": BODY0},
    ),
    *(
        Row(
            id=f"{number} {key}",
            config=f"{{protect: true, {key}: true, orgs: {{cfgdef: }}}}",
            github=THREE,
            wrote=three(**{key: True}),
        )
        for number, key in (
            ("E30", "required_linear_history"),
            ("E31", "allow_force_pushes"),
            ("E32", "allow_deletions"),
        )
    ),
    Row(
        id="E33 signatures are asked for apart",
        config="{protect: true, require_signed_commits: true, orgs: {cfgdef: }}",
        github=THREE,
        wrote=three(),
        signed=dict.fromkeys(THREE.split(), True),
    ),
    Row(
        id="E34 nobody is managed",
        config="""{protect: true, unmanaged: true, orgs: {org: {required_status_checks: {contexts: [a]}, repos: {repo: {
            required_status_checks: {contexts: [b]}, branches: {master: {
            required_status_checks: {contexts: [c]}}}}}}}}""",
        github="org/repo=master",
        reads="",
    ),
    Row(
        id="E35 an organization is not managed",
        config="{protect: true, orgs: {org: {unmanaged: true, repos: {repo: {enforce_admins: true}}}}}",
        github="org/repo=master",
        reads="",
    ),
    Row(
        id="E36 one repository is not managed",
        config="""{protect: true, orgs: {org: {repos: {repo1: {unmanaged: true}, repo2: {
            required_status_checks: {contexts: [foo]}, branches: {master: {protect: true,
            required_status_checks: {contexts: [foo]}}}}}}}}""",
        github="org/repo1=master org/repo2=master",
        wrote={"org/repo2=master": {**BODY0, **checks("foo")}},
    ),
    Row(
        id="E37 users and teams without apps",
        config="{protect: true, restrictions: {users: [cindy]}, orgs: {org: {restrictions: {teams: [org-team]}}}}",
        github="org/repo=master",
        wrote={"org/repo=master": {**BODY0, "restrictions": {"users": ["cindy"], "teams": ["org-team"]}}},
    ),
    Row(
        id="E38 apps without the flag for them",
        config="{protect: true, restrictions: {users: [cindy]}, orgs: {org: {restrictions: {apps: [content-app]}}}}",
        github="org/repo=master",
        errors=1,
        said="update org: update repo: update master from protected=true: 'enable-apps-restrictions' command line flag "
        "is not true, but Apps Restrictions are maintained for org/repo=master",
    ),
    Row(
        id="E39 an archived repository",
        config="{protect: true, orgs: {org: }}",
        github="org/old=master org/live=master",
        archived="org/old",
        wrote={"org/live=master": BODY0},
    ),
    Row(
        id="E40 the private fork of an advisory",
        config="{protect: true, orgs: {org: }}",
        github="org/repository=master org/repo-ghsa-1234abcd=master",
        private="org/repository org/repo-ghsa-1234abcd",
        wrote={"org/repository=master": BODY0},
    ),
    Row(
        id="E41 a public repository with such a name",
        config="{protect: true, orgs: {org: }}",
        github="org/x-ghsa-y=master",
        wrote={"org/x-ghsa-y=master": BODY0},
    ),
    Row(
        id="E42 such a fork of a repository with a dot in its name",
        config="{protect: true, orgs: {org: }}",
        github="org/my.repo-ghsa-1-2-3=master",
        private="org/my.repo-ghsa-1-2-3",
        wrote={"org/my.repo-ghsa-1-2-3=master": BODY0},
    ),
    Row(
        id="E43 an organization that says nothing of `protect`",
        config="{orgs: {org: {repos: {a: {protect: true}, b: {protect: true}}}}}",
        github="org/a=master org/b=master org/c=master",
        wrote={"org/a=master": BODY0, "org/b=master": BODY0},
    ),
    Row(
        id="E44 nothing to take away",
        config="{orgs: {org: {protect: false}}}",
        github="org/repo=master",
        unprotected="org/repo=master",
        reads="",
    ),
    Row(
        id="E45 a ruleset protects",
        config="{orgs: {org: {protect: false}}}",
        github="org/repo=master",
        reads="org/repo=master",
    ),
    Row(
        id="E46 included and excluded",
        config="{protect: true, orgs: {org: {repos: {repo: {include: [^main$], exclude: [main]}}}}}",
        github="org/repo=main org/repo=dev",
        wrote={"org/repo=main": BODY0},
    ),
    Row(
        id="E47 expressions are searched",
        config="{protect: true, orgs: {org: {repos: {repo: {include: [rel]}}}}}",
        github="org/repo=prerelease",
        wrote={"org/repo=prerelease": BODY0},
    ),
    Row(
        id="E48 a branch is not included, and named",
        config="{protect: true, orgs: {org: {repos: {repo: {include: [^rel], branches: {dev: {protect: true}}}}}}}",
        github="org/repo=dev org/repo=other",
        wrote={"org/repo=dev": BODY0},
    ),
    Row(
        id="E49 what is excluded keeps what it has",
        config="{protect: true, orgs: {org: {repos: {repo: {exclude: [gone]}}}}}",
        github="org/repo=gone",
        states={"org/repo=gone": FULL_STATE},
        reads="",
    ),
    Row(
        id="E50 a branch that is not there",
        config="{orgs: {org: {repos: {repo: {branches: {typo: {protect: true}}}}}}}",
        github="org/repo=master",
        reads="",
    ),
    Row(
        id="E51 an expression that is none",
        config="{protect: true, orgs: {org: {repos: {bad: {exclude: ['(']}, good: {}}}}}",
        github="org/bad=master org/good=master",
        wrote={"org/good=master": BODY0},
        errors=1,
        said="update org: update bad: no RE2",
    ),
    Row(
        id="E52 one branch of a repository is managed",
        config="""{orgs: {org: {repos: {repo: {unmanaged: true, branches: {
            main: {unmanaged: false, protect: true}, dev: {protect: true}}}}}}}""",
        github="org/repo=main org/repo=dev org/repo=other",
        wrote={"org/repo=main": BODY0},
    ),
    Row(
        id="E53 one repository of all is managed",
        config="{unmanaged: true, orgs: {o: {repos: {r: {unmanaged: false, protect: true}, other: {protect: true}}}}}",
        github="o/r=main o/other=main",
        wrote={"o/r=main": BODY0},
    ),
    Row(
        id="E54 unmanaged wins over protect",
        config="{orgs: {org: {repos: {repo: {unmanaged: true, protect: true}}}}}",
        github="org/repo=main",
        reads="",
    ),
    Row(
        id="E55 contexts without protect",
        config="{orgs: {org: {repos: {repo: {required_status_checks: {contexts: [ci]}}}}}}",
        github="org/repo=main",
        reads="",
    ),
    Row(
        id="E56 a tested repository of an organization that is not named",
        config="{protect-tested-repos: true, orgs: {org: {}}}",
        jobs={"org2/r2": REQUIRED},
        github="org2/r2=main",
        wrote={"org2/r2=main": {**BODY0, **checks("job")}},
    ),
    Row(
        id="E57 jobs of what is no repository",
        config="{protect-tested-repos: true}",
        jobs={"justorg": REQUIRED},
        errors=1,
        said="bad presubmit repo: justorg",
    ),
    Row(
        id="E58 a repository that alone is in scope is not found",
        config="{orgs: {o: {protect: true, repos: {r: {}}}}}",
        github="o/r=main",
        flags=replace(HARNESS, enabled_repos=frozenset({"o/r"})),
    ),
    Row(
        id="E59 no apps, without the flag for them",
        config="{protect: true, restrictions: {apps: []}, orgs: {org: }}",
        github="org/repo=main",
        errors=1,
    ),
    Row(
        id="E60 a login in another case than the one it is known by",
        config="{protect: true, restrictions: {users: [Cindy]}, orgs: {org: }}",
        github="org/repo=main",
        errors=1,
        said="update org: update repo: update main from protected=true: invalid branch protection request: "
        "org/repo=main: the following collaborators are not authorized for org/repo: [Cindy]",
    ),
    Row(
        id="E61 the example of Prow's page: another repository of the organization",
        config=EXAMPLE,
        github="unprotected-org/b=main",
        errors=1,
    ),
    Row(
        id="E62 the example of Prow's page: another branch of the repository",
        config=EXAMPLE,
        github="unprotected-org/protected-repo=x",
        wrote={"unprotected-org/protected-repo=x": {**BODY0, **checks("cla", "tested")}},
    ),
    Row(
        id="E63 the example of Prow's page: the branch that is named",
        config=EXAMPLE,
        github="unprotected-org/protected-repo=secure",
        wrote={"unprotected-org/protected-repo=secure": {**BODY0, **checks("cla", "foo", "tested")}},
    ),
    Row(
        id="P3.4 a repository that is named and is not there",
        config="{orgs: {org: {repos: {gone: {protect: true}}}}}",
        errors=1,
        said="update org: update gone: could not get repo to check for archival: repo org/gone not found",
    ),
    Row(
        id="P3.7 a tested repository that was looked at before, and one out of scope",
        config="{protect-tested-repos: true, orgs: {org: {repos: {repo: {protect: true}}}}}",
        jobs={"org/repo": REQUIRED, "out/r": REQUIRED},
        github="org/repo=main out/r=main",
        flags=replace(HARNESS, disabled_orgs=frozenset({"out"})),
        wrote={"org/repo=main": {**BODY0, **checks("job")}},
    ),
    Row(
        id="P4.22 signatures without a protection to take away",
        config="{allow_disabled_policies: true, orgs: {org: {protect: false, require_signed_commits: true}}}",
        github="org/repo=main",
        wrote={"org/repo=main": None},
    ),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_prow_writes(row: Row) -> None:
    found = row.run()

    assert {label(one.branch): one.body for one in found.writes} == row.wrote
    assert {label(one.branch): one.signatures for one in found.writes if one.signatures is not None} == row.signed
    assert len(found.errors) == row.errors
    assert row.said in [*found.errors[0][:1]] if row.said else True
    if row.reads is not None:
        assert [label(one) for one in found.reads] == row.reads.split()


SCOPES = [
    ("E77 nothing is said of scope", Flags(), True),
    ("E78 another organization", Flags(enabled_orgs=frozenset({"other"})), False),
    ("E79 this organization", Flags(enabled_orgs=frozenset({"org"})), True),
    ("E80 a repository of another organization", Flags(enabled_repos=frozenset({"other/repo"})), False),
    ("E81 this repository", Flags(enabled_repos=frozenset({"org/repo"})), True),
    ("E82 not this organization", Flags(disabled_orgs=frozenset({"org"})), False),
    ("E82 not this repository", Flags(disabled_repos=frozenset({"org/repo"})), False),
    (
        "E83 this organization, and not this repository",
        Flags(enabled_orgs=frozenset({"org"}), disabled_repos=frozenset({"org/repo"})),
        False,
    ),
]


@pytest.mark.parametrize(("flags", "allowed"), [pytest.param(*row, id=name) for name, *row in SCOPES])
def test_a_repository_is_in_scope(flags: Flags, *, allowed: bool) -> None:
    assert flags.allow("org", "repo") is allowed
    assert flags.refusal() == ""


REFUSED = [
    (
        "E84 what is no repository",
        Flags(enabled_repos=frozenset({"not-a-valid-repo"})),
        '--github-enabled-repo=not-a-valid-repo is invalid: "not-a-valid-repo" is not in org/repo format',
    ),
    (
        "E84 a repository without a name",
        Flags(disabled_repos=frozenset({"org/"})),
        '--github-disabled-repo=org/ is invalid: "org/" is not in org/repo format',
    ),
    (
        "E85 an organization is in both lists",
        Flags(enabled_orgs=frozenset({"org-a", "org-b"}), disabled_orgs=frozenset({"org-b"})),
        "[org-b] is in both --github-enabled-org and --github-disabled-org",
    ),
    (
        "E85 a repository is in both lists",
        Flags(enabled_repos=frozenset({"org/repo"}), disabled_repos=frozenset({"org/repo"})),
        "[org/repo] is in both --github-enabled-repo and --github-disabled-repo",
    ),
]


@pytest.mark.parametrize(("flags", "why"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_flags_that_contradict_themselves_are_refused(flags: Flags, why: str) -> None:
    assert flags.refusal() == why


CTX = "required_status_checks"
MERGES: list[tuple[str, Policy, Policy, Policy]] = [
    ("E86 a switch: neither", {}, {}, {}),
    ("E86 a switch: the child", {}, {"protect": True}, {"protect": True}),
    ("E86 a switch: both", {"protect": False}, {"protect": True}, {"protect": True}),
    ("E86 a switch: the parent", {"protect": False}, {}, {"protect": False}),
    ("E87 a number: the child", {}, {"count": 1}, {"count": 1}),
    ("E87 a number: both", {"count": 2}, {"count": 1}, {"count": 1}),
    ("E87 a number: the parent", {"count": 2}, {}, {"count": 2}),
    ("E88 a list: the parent", {CTX: {"contexts": ["hi", "there"]}}, {}, {CTX: {"contexts": ["hi", "there"]}}),
    ("E88 a list: the child", {}, {CTX: {"contexts": ["hi", "there"]}}, {CTX: {"contexts": ["hi", "there"]}}),
    (
        "E88 a list: both",
        {CTX: {"contexts": ["hi", "there"]}},
        {CTX: {"contexts": ["hi", "world"]}},
        {CTX: {"contexts": ["hi", "there", "world"]}},
    ),
    ("E89 an empty list only puts in order", {"exclude": ["b", "a", "a"]}, {"exclude": []}, {"exclude": ["a", "b"]}),
    ("E90 a list that nobody adds to stays as it is", {"exclude": ["b", "a", "a"]}, {}, {"exclude": ["b", "a", "a"]}),
    ("E91 nothing on top", {"protect": True}, {}, {"protect": True}),
    (
        "E92 other switches on top",
        {"protect": True},
        {"enforce_admins": False, "required_linear_history": True, "allow_force_pushes": True, "allow_deletions": True},
        {
            "protect": True,
            "enforce_admins": False,
            "required_linear_history": True,
            "allow_force_pushes": True,
            "allow_deletions": True,
        },
    ),
    ("E93 the child wins", {"protect": True}, {"protect": False}, {"protect": False}),
    (
        "E94 contexts are united",
        {CTX: {"contexts": ["hello", "world"]}},
        {CTX: {"contexts": ["world", "of", "thrones"]}},
        {CTX: {"contexts": ["hello", "of", "thrones", "world"]}},
    ),
    (
        "E95 contexts and strict",
        {CTX: {"contexts": ["hi"]}},
        {CTX: {"strict": True}},
        {CTX: {"contexts": ["hi"], "strict": True}},
    ),
    (
        "E96 strict and protect",
        {CTX: {"strict": False}},
        {"protect": True},
        {CTX: {"strict": False}, "protect": True},
    ),
    (
        "E96 protect and strict",
        {"protect": True},
        {CTX: {"strict": False}},
        {CTX: {"strict": False}, "protect": True},
    ),
    ("E97 excluded", {"exclude": ["bar*"]}, {"exclude": ["foo*"]}, {"exclude": ["bar*", "foo*"]}),
    ("E97 included", {"include": ["bar*"]}, {"include": ["foo*"]}, {"include": ["bar*", "foo*"]}),
    (
        "E98 reviews are merged field by field",
        {"reviews": {"count": 2}},
        {"reviews": {"owners": True}},
        {"reviews": {"count": 2, "owners": True}},
    ),
    (
        "E99 nothing can be taken from a list",
        {"restrictions": {"users": ["a"]}},
        {"restrictions": {}},
        {"restrictions": {"users": ["a"]}},
    ),
]


@pytest.mark.parametrize(("parent", "child", "merged"), [pytest.param(*row, id=name) for name, *row in MERGES])
def test_a_child_is_applied_to_its_parent(parent: Policy, child: Policy, merged: Policy) -> None:
    assert applied(parent, child) == merged


RESTRICTED = "restrictions: {users: [cindy]}"
TESTED = "required prow jobs require branch protection"
POLICIES: list[tuple[str, str, JobContexts, Policy | None, str]] = [
    ("E104 nothing is configured", "", JobContexts(), None, ""),
    ("E105 another organization is", "{protect: true, orgs: {other: }}", JobContexts(), None, ""),
    ("E106 everyone", "{protect: true, orgs: {org: }}", JobContexts(), {"protect": True}, ""),
    ("E106 the organization", "{orgs: {org: {protect: true}}}", JobContexts(), {"protect": True}, ""),
    ("E106 the repository", "{orgs: {org: {repos: {repo: {protect: true}}}}}", JobContexts(), {"protect": True}, ""),
    (
        "E106 the branch",
        "{orgs: {org: {repos: {repo: {branches: {branch: {protect: true}}}}}}}",
        JobContexts(),
        {"protect": True},
        "",
    ),
    (
        "E107 another organization is protected, and this one named",
        "{protect: false, orgs: {other: {protect: true}, org: }}",
        JobContexts(),
        {"protect": False},
        "",
    ),
    (
        "E108 a branch is named, and nothing said of it",
        "{orgs: {org: {repos: {repo: {branches: {branch: }}}}}}",
        JobContexts(),
        None,
        prow.UNDECIDED,
    ),
    (
        "E109 who may push to what is not protected",
        f"{{protect: false, {RESTRICTED}, orgs: {{org: }}}}",
        JobContexts(),
        None,
        "org/repo=branch defines a policy, which requires protect: true",
    ),
    (
        "E109 contexts of what is not protected",
        "{protect: false, required_status_checks: {contexts: [a]}, orgs: {org: }}",
        JobContexts(),
        None,
        "org/repo=branch defines a policy, which requires protect: true",
    ),
    (
        "E110 where that is allowed",
        f"{{allow_disabled_policies: true, protect: true, {RESTRICTED}, orgs: {{org: {{protect: false}}}}}}",
        JobContexts(),
        {"protect": False, "restrictions": {"users": ["cindy"]}},
        "",
    ),
    (
        "E111 a job and a context",
        "{protect: true, required_status_checks: {contexts: [cla]}, orgs: {org: }}",
        REQUIRED,
        {"protect": True, CTX: {"contexts": ["cla", "job"]}},
        "",
    ),
    (
        "E112 a job protects",
        "{protect-tested-repos: true, orgs: {org: }}",
        REQUIRED,
        {"protect": True, CTX: {"contexts": ["job"]}},
        "",
    ),
    ("E113 a job on what is not protected", "{protect: false, orgs: {org: }}", REQUIRED, None, TESTED),
    ("E114 an optional job protects nothing", "{protect-tested-repos: true, orgs: {org: }}", OPTIONAL, None, ""),
    (
        "E115 unless that is asked for",
        "{protect-tested-repos: true, protect_repos_with_optional_jobs: true, orgs: {org: }}",
        OPTIONAL,
        {"protect": True, CTX: {"contexts": []}},
        "",
    ),
    (
        "E116 an optional job adds no checks",
        "{protect-tested-repos: true, orgs: {org: {protect: true}}}",
        OPTIONAL,
        {"protect": True},
        "",
    ),
    (
        "E117 a job on what is not protected, where that is allowed",
        "{allow_disabled_job_policies: true, orgs: {org: {repos: {repo: {protect: false}}}}}",
        REQUIRED,
        None,
        "",
    ),
    (
        "E118 where only a policy is allowed there",
        "{allow_disabled_policies: true, orgs: {org: {protect: false}}}",
        REQUIRED,
        None,
        TESTED,
    ),
    (
        "E119 a job where nothing says protect",
        "{orgs: {org: }}",
        REQUIRED,
        {CTX: {"contexts": ["job"]}},
        "",
    ),
    (
        "E120 what is off is said as well: signatures",
        "{protect: false, require_signed_commits: false, orgs: {org: }}",
        JobContexts(),
        None,
        "org/repo=branch defines a policy, which requires protect: true",
    ),
    (
        "E120 what is off is said as well: jobs on request",
        "{protect: false, require_manually_triggered_jobs: false, orgs: {org: }}",
        JobContexts(),
        None,
        "org/repo=branch defines a policy, which requires protect: true",
    ),
    (
        "E121 a filter is no policy",
        "{protect: false, exclude: [x], orgs: {org: }}",
        JobContexts(),
        {"protect": False, "exclude": ["x"]},
        "",
    ),
    (
        "E122 a branch is named to be left alone",
        "{orgs: {org: {repos: {repo: {branches: {branch: {unmanaged: true}}}}}}}",
        JobContexts(),
        None,
        "",
    ),
    (
        "E123 a branch is named not to be left alone",
        "{orgs: {org: {repos: {repo: {branches: {branch: {unmanaged: false}}}}}}}",
        JobContexts(),
        None,
        prow.UNDECIDED,
    ),
    (
        "E124 an optional job on what is not protected, where such jobs protect",
        "{protect_repos_with_optional_jobs: true, protect: false, orgs: {org: }}",
        OPTIONAL,
        None,
        TESTED,
    ),
]


@pytest.mark.parametrize(("config", "jobs", "policy", "why"), [pytest.param(*row, id=name) for name, *row in POLICIES])
def test_a_policy_is_in_force(config: str, jobs: JobContexts, policy: Policy | None, why: str) -> None:
    assert policies(config).of(Branch("org", "repo", "branch"), jobs) == (policy, why)


TWO = "orgs: {org1: {repos: {repo1: , repo2: }}}"
TWO_BRANCHES = """orgs: {org1: {repos: {repo1: {branches: {branch1: {protect: false}}},
    repo2: {branches: {branch1: {protect: false}}}}}}"""
LINTS = [
    (
        "E125 policies of what is not protected",
        f"{{allow_disabled_policies: true, protect: false, required_status_checks: {{contexts: [a]}}, {TWO}}}",
        ("org1/repo1", "org1/repo2"),
    ),
    ("E126 where that is not allowed", f"{{protect: false, required_status_checks: {{contexts: [a]}}, {TWO}}}", ()),
    ("E126 without a policy", f"{{allow_disabled_policies: true, protect: false, {TWO}}}", ()),
    (
        "E126 of what is protected",
        """{allow_disabled_policies: true, protect: false, enforce_admins: true, orgs: {org1: {repos: {
            repo1: {protect: true}}}}}""",
        (),
    ),
]


@pytest.mark.parametrize(("config", "told"), [pytest.param(*row, id=name) for name, *row in LINTS])
def test_repositories_with_a_policy_that_is_not_in_force_are_told(config: str, told: tuple[str, ...]) -> None:
    assert prow.disabled_repos(policies(config)) == told


BRANCH_LINTS = [
    (
        "E127 policies of what is not protected",
        f"{{allow_disabled_policies: true, required_status_checks: {{contexts: [a]}}, {TWO_BRANCHES}}}",
        JobContexts(),
        ("org1/repo1=branch1", "org1/repo2=branch1"),
    ),
    (
        "E128 two branches of one repository",
        """{allow_disabled_policies: true, required_status_checks: {contexts: [a]}, orgs: {org1: {repos: {repo1: {
            branches: {branch2: {protect: false}, branch1: {protect: false}, branch3: {protect: true}}}}}}}""",
        JobContexts(),
        ("org1/repo1=branch1,branch2",),
    ),
    ("E129 without a policy", f"{{allow_disabled_policies: true, {TWO_BRANCHES}}}", JobContexts(), ()),
    (
        "E129 where that is not allowed",
        f"{{required_status_checks: {{contexts: [a]}}, {TWO_BRANCHES}}}",
        JobContexts(),
        (),
    ),
    (
        "E130 a job on what is not protected",
        "{allow_disabled_job_policies: true, orgs: {org1: {repos: {repo1: {branches: {branch1: {protect: false}}}}}}}",
        REQUIRED,
        ("org1/repo1=branch1",),
    ),
    (
        "E131 an optional job",
        "{allow_disabled_job_policies: true, orgs: {org1: {repos: {repo1: {branches: {branch1: {protect: false}}}}}}}",
        OPTIONAL,
        (),
    ),
    (
        "E131 where that is not allowed",
        "{orgs: {org1: {repos: {repo1: {branches: {branch1: {protect: false}}}}}}}",
        REQUIRED,
        (),
    ),
]


@pytest.mark.parametrize(("config", "jobs", "told"), [pytest.param(*row, id=name) for name, *row in BRANCH_LINTS])
def test_branches_that_are_not_protected_though_more_is_said_are_told(
    config: str, jobs: JobContexts, told: tuple[str, ...]
) -> None:
    assert prow.unprotected_branches(policies(config), {"org1/repo1": lambda _branch, _manual: jobs}) == told


def state(**changed: Any) -> JSON:
    return {**FULL_STATE, **changed}


def wanted(**changed: Any) -> JSON:
    return {**FULL_BODY, **changed}


NAMES = ("a", "b")
SHAPES: list[tuple[str, JSON | None, JSON, bool]] = [
    ("neither", None, {}, True),
    ("an empty one there", {}, {}, False),
    ("the same", people("user", "team"), {"users": ["user"], "teams": ["team"]}, True),
    ("another case of the login", people("USER", "team"), {"users": ["user"], "teams": ["team"]}, True),
    ("another user", people("other", "team"), {"users": ["user"], "teams": ["team"]}, False),
    ("another team", people("user", "other"), {"users": ["user"], "teams": ["team"]}, False),
    ("an empty one is asked for, and none is there", None, {}, True),
    ("a team is asked for, and none is there", None, {"teams": ["team"]}, False),
]


def checked(there: Any, asked: Any) -> tuple[JSON, JSON]:
    return state(required_status_checks=there), wanted(required_status_checks=asked)


def reviewed(there: JSON | None, asked: JSON | None) -> tuple[JSON, JSON]:
    return state(required_pull_request_reviews=there), wanted(required_pull_request_reviews=asked)


def reviewed_by(key: str, there: JSON | None, asked: JSON) -> tuple[JSON, JSON]:
    found = {name: value for name, value in FULL_STATE["required_pull_request_reviews"].items() if name != key}
    return reviewed(
        found if there is None else {**found, key: there}, {**FULL_BODY["required_pull_request_reviews"], key: asked}
    )


def pushed(there: JSON | None, asked: JSON | None) -> tuple[JSON, JSON]:
    return state(restrictions=there), wanted(restrictions=asked)


LOCK = {"strict": True, "contexts": ["a"]}
REVIEWS_THERE, REVIEWS_ASKED = FULL_STATE["required_pull_request_reviews"], FULL_BODY["required_pull_request_reviews"]
NOT_THERE: JSON = {"dismiss_stale_reviews": False}
EQUAL: list[tuple[str, JSON | None, JSON | None, bool]] = [
    ("E132 neither", None, None, True),
    ("E132 something is there, and nothing asked for", {}, None, False),
    ("E132 nothing is there, and something asked for", None, BODY0, False),
    ("E133 everything", FULL_STATE, FULL_BODY, True),
    (
        "E134 apps are not asked for",
        FULL_STATE,
        wanted(restrictions={"users": ["cindy"], "teams": ["config-team", "org-team"]}),
        True,
    ),
    ("E135 force pushes", state(allow_force_pushes={"enabled": False}), wanted(allow_force_pushes=True), False),
    ("E136 checks: neither", *checked(None, None), True),
    ("E136 checks: there", *checked({"strict": False, "contexts": []}, None), False),
    ("E136 checks: asked for", *checked(None, {"strict": False, "contexts": []}), False),
    ("E136 checks: the same", *checked(LOCK, LOCK), True),
    ("E136 checks: strict", *checked(LOCK, {**LOCK, "strict": False}), False),
    ("E136 checks: contexts", *checked(LOCK, {**LOCK, "contexts": ["b"]}), False),
    ("E137 names: none is there", *checked({**LOCK, "contexts": []}, {"strict": True}), False),
    (
        "E137 names: in another order",
        *checked({**LOCK, "contexts": ["a", "b"]}, {**LOCK, "contexts": ["b", "a"]}),
        True,
    ),
    ("E137 names: one more", *checked({**LOCK, "contexts": ["a", "b"]}, {**LOCK, "contexts": ["a", "b", "c"]}), False),
    ("E137 names: others", *checked({**LOCK, "contexts": ["a"]}, {**LOCK, "contexts": ["c"]}), False),
    ("E138 admins: nothing is said", state(enforce_admins={"enabled": False}), wanted(enforce_admins=None), True),
    ("E138 admins: off", state(enforce_admins={"enabled": False}), wanted(enforce_admins=False), True),
    ("E138 admins: on", state(enforce_admins={"enabled": False}), wanted(enforce_admins=True), False),
    ("E139 reviews: neither", *reviewed(None, None), True),
    ("E139 reviews: there", *reviewed(NOT_THERE, None), False),
    ("E139 reviews: asked for", *reviewed(None, {**REVIEWS0, "required_approving_review_count": 0}), False),
    ("E139 reviews: the same", *reviewed(REVIEWS_THERE, REVIEWS_ASKED), True),
    ("E139 reviews: stale", *reviewed(REVIEWS_THERE, {**REVIEWS_ASKED, "dismiss_stale_reviews": True}), False),
    ("E139 reviews: owners", *reviewed(REVIEWS_THERE, {**REVIEWS_ASKED, "require_code_owner_reviews": False}), False),
    ("E139 reviews: count", *reviewed(REVIEWS_THERE, {**REVIEWS_ASKED, "required_approving_review_count": 1}), False),
    *(
        (f"E140 {key}: {name}", *reviewed_by(key, there, asked), same)
        for key in ("dismissal_restrictions", "bypass_pull_request_allowances")
        for name, there, asked, same in SHAPES
    ),
    *((f"E141 restrictions: {name}", *pushed(there, asked), same) for name, there, asked, same in SHAPES),
    ("E141 restrictions: nothing is asked for", *pushed(people("user", "team"), None), False),
    ("E141 restrictions: neither, not even empty", *pushed(None, None), True),
    (
        "E141 restrictions: another app",
        *pushed({**people(), "apps": [{"slug": "app"}]}, {"users": [], "teams": [], "apps": ["other"]}),
        False,
    ),
    (
        "E142 apps are there, and not asked for",
        *pushed({**people(), "apps": [{"slug": "app"}]}, {"users": [], "teams": []}),
        True,
    ),
    (
        "E142 apps are there, and none of them is asked for",
        *pushed({**people(), "apps": [{"slug": "app"}]}, {"users": [], "teams": [], "apps": []}),
        False,
    ),
    (
        "E143 empty lists of who is let past are asked for, and GitHub leaves them out",
        *reviewed_by("bypass_pull_request_allowances", None, {"users": [], "teams": []}),
        False,
    ),
    (
        "E144 empty lists of who is let past are there, and not asked for",
        *reviewed_by("bypass_pull_request_allowances", people(), {}),
        False,
    ),
    (
        "E146 a login with its sign",
        *pushed(people("@Bob", "team"), {"users": ["bob"], "teams": ["team"]}),
        True,
    ),
    ("E147 another case of the team", *pushed(people("bob", "Core"), {"users": ["bob"], "teams": ["core"]}), False),
]


@pytest.mark.parametrize(("there", "asked", "same"), [pytest.param(*row, id=name) for name, *row in EQUAL])
def test_prow_takes_what_is_there_for_what_it_would_write(there: JSON, asked: JSON, *, same: bool) -> None:
    assert equal(there, asked) is same


ON, NOT_ON = {"required_signatures": {"enabled": True}}, {"required_signatures": {"enabled": False}}
SIGNATURES = [
    ("E145 no wish, nothing there", None, None, True),
    ("E145 no wish, on", ON, None, True),
    ("E145 off is wished for, nothing there", None, False, True),
    ("E145 on is wished for, nothing there", None, True, False),
    ("E145 on is wished for, on", ON, True, True),
    ("E145 on is wished for, off", NOT_ON, True, False),
    ("E145 off is wished for, on", ON, False, False),
]


@pytest.mark.parametrize(("there", "wish", "same"), [pytest.param(*row, id=name) for name, *row in SIGNATURES])
def test_signatures_are_as_wished(there: JSON | None, wish: bool | None, *, same: bool) -> None:
    assert equal_signatures(there, wish) is same


LISTS = {"users": ["jane", "fred", "jane"], "teams": ["startup", "megacorp"]}
IN_ORDER = {"users": ["fred", "jane"], "teams": ["megacorp", "startup"]}
REQUESTS: list[tuple[str, Policy, bool, JSON]] = [
    ("E148 a switch: nothing", {}, False, {}),
    ("E148 a switch: off", {"allow_deletions": False}, False, {}),
    ("E148 a switch: on", {"allow_deletions": True}, False, {"allow_deletions": True}),
    ("E149 no reviews", {}, False, {}),
    ("E149 reviews without a count", {"required_pull_request_reviews": {"dismiss_stale_reviews": True}}, False, {}),
    *(
        (
            f"E150 a count of {count}",
            {"required_pull_request_reviews": {"required_approving_review_count": count}},
            False,
            {"required_pull_request_reviews": {**REVIEWS0, "required_approving_review_count": count}},
        )
        for count in (0, 3)
    ),
    (
        "E151 all of reviews",
        {
            "required_pull_request_reviews": {
                "required_approving_review_count": 1,
                "dismiss_stale_reviews": True,
                "require_code_owner_reviews": True,
                "dismissal_restrictions": LISTS,
                "bypass_pull_request_allowances": LISTS,
            }
        },
        False,
        {
            "required_pull_request_reviews": {
                "required_approving_review_count": 1,
                "dismiss_stale_reviews": True,
                "require_code_owner_reviews": True,
                "dismissal_restrictions": IN_ORDER,
                "bypass_pull_request_allowances": IN_ORDER,
            }
        },
    ),
    ("E152 nothing", {}, False, {}),
    *(
        (
            f"E153 {kind} alone, with the flag for apps",
            {"restrictions": {kind: ["x"]}},
            True,
            {"restrictions": {"apps": [], "users": [], "teams": [], kind: ["x"]}},
        )
        for kind in ("teams", "users", "apps")
    ),
    ("E154 teams and users, without it", {"restrictions": LISTS}, False, {"restrictions": IN_ORDER}),
    ("E155 strict alone", {CTX: {"strict": True}}, False, checks(strict=True)),
    ("E156 nobody may push", {"restrictions": {}}, False, {"restrictions": {"users": [], "teams": []}}),
    ("E157 checks without any", {CTX: {}}, False, checks()),
    (
        "E158 nobody may dismiss",
        {"required_pull_request_reviews": {"required_approving_review_count": 2, "dismissal_restrictions": {}}},
        False,
        {
            "required_pull_request_reviews": {
                **REVIEWS0,
                "required_approving_review_count": 2,
                "dismissal_restrictions": {"users": [], "teams": []},
            }
        },
    ),
]


@pytest.mark.parametrize(("policy", "apps", "said"), [pytest.param(*row, id=name) for name, *row in REQUESTS])
def test_a_policy_is_written_as_a_body(policy: Policy, said: JSON, *, apps: bool) -> None:
    assert prow.request({**policy, "protect": True}, apps=apps) == {**BODY0, **said}
    assert prow.request({**policy, "protect": False}, apps=apps) is None


ASKED = {"restrictions": {"apps": ["bar"], "users": ["foo"], "teams": ["bar"]}}


def test_who_may_not_push_is_told_list_by_list() -> None:
    """E159."""
    assert unauthorized("org/repo", ASKED, NOBODY) == (
        "the following apps are not authorized for org/repo: [bar]",
        "the following collaborators are not authorized for org/repo: [foo]",
        "the following teams are not authorized for org/repo: [bar]",
    )


def test_of_those_who_may_push_nothing_is_told() -> None:
    """E160."""
    allowed = actors(["foo"], ["bar"], ["bar"])

    assert unauthorized("org/repo", ASKED, allowed) == ()
    assert unauthorized("org/repo", BODY0, NOBODY) == ()
    assert unauthorized("org/repo", None, NOBODY) == ()


@pytest.mark.parametrize(
    ("contents", "counts"), [pytest.param("read", False, id="E161 read"), pytest.param("write", True, id="E161 write")]
)
def test_an_app_may_push_if_it_writes_contents(contents: str, *, counts: bool) -> None:
    app = {"app_slug": "bot", "permissions": {"contents": contents}}

    assert ("bot" in prow.authorized([app], [], []).apps) is counts


@pytest.mark.parametrize(
    ("permission", "counts"),
    [
        pytest.param("pull", False, id="E162 pull"),
        pytest.param("push", True, id="E162 push"),
        pytest.param("admin", True, id="E162 admin"),
    ],
)
def test_a_collaborator_may_push_if_permitted(permission: str, *, counts: bool) -> None:
    user = {"login": "@Jo", "permissions": {permission: True}}

    assert ("jo" in prow.authorized([], [user], []).users) is counts


@pytest.mark.parametrize(
    ("permission", "counts"),
    [
        pytest.param("pull", False, id="E163 pull"),
        pytest.param("push", True, id="E163 push"),
        pytest.param("admin", True, id="E163 admin"),
        pytest.param("maintain", False, id="E164 maintain"),
    ],
)
def test_a_team_may_push_if_permitted(permission: str, *, counts: bool) -> None:
    assert ("crew" in prow.authorized([], [], [{"slug": "crew", "permission": permission}]).teams) is counts


def test_a_rule_is_the_policy_that_prow_would_send_it_for() -> None:
    """P4.1-P4.9, of the values of a rule."""
    values: Values = {
        **OFF,
        Field.CONTEXTS: frozenset({Check("e2e", "ci"), Check("build")}),
        Field.STRICT: True,
        Field.REVIEWS: 2,
        Field.DISMISSERS: Actors(users=frozenset({"bob"})),
        Field.BYPASSERS: Actors(teams=frozenset({"core"})),
        Field.PUSHERS: Actors(apps=frozenset({"bot"})),
        Field.LINEAR: True,
        Field.SIGNATURES: True,
    }
    reviews: JSON = {
        **REVIEWS0,
        "required_approving_review_count": 2,
        "dismissal_restrictions": {"users": ["bob"], "teams": []},
        "bypass_pull_request_allowances": {"users": [], "teams": ["core"]},
    }

    assert prow.request(prow.policy_of(OFF), apps=True) == BODY0
    assert prow.request(prow.policy_of(values), apps=True) == {
        **BODY0,
        **checks("build", "e2e", strict=True),
        "required_pull_request_reviews": reviews,
        "restrictions": {"apps": ["bot"], "users": [], "teams": []},
        "required_linear_history": True,
    }
    free = prow.policy_of({**values, Field.DISMISSERS: None, Field.BYPASSERS: Actors()})
    assert prow.reviews(free["required_pull_request_reviews"]) == {**REVIEWS0, "required_approving_review_count": 2}
