"""Asks a GitHub, on a repository that may be spoiled, what its documentation leaves open, to compare with the sandbox.

Each probe makes what it needs under ``mergeq-probe/``, asks one thing, and removes what it made.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from mergeq.github import GitHub, HeldBack, Pat, Reply, Unreadable

PREFIX = "mergeq-probe/"
_PATIENCE = 60  # seconds for what GitHub does by and by
_STEP = 2.0
_CONTEXT = "mergeq-probe"
_RULE = """
mutation Protect($repository: ID!, $pattern: String!) {
  createBranchProtectionRule(input: {repositoryId: $repository, pattern: $pattern}) {
    branchProtectionRule { id }
  }
}
"""
_UNRULE = """
mutation Unprotect($rule: ID!) {
  deleteBranchProtectionRule(input: {branchProtectionRuleId: $rule}) { clientMutationId }
}
"""
_APPLIED = """
query Applied($owner: String!, $name: String!, $ref: String!) {
  repository(owner: $owner, name: $name) { id ref(qualifiedName: $ref) { branchProtectionRule { pattern } } }
}
"""
_SEARCH = "query Search($text: String!) { search(type: %s, first: 1, query: $text) { issueCount } }"

_HOST = re.compile(r"https?://[^/\s]+")

Observation = Mapping[str, Any]
"""What was seen, as plain JSON, without anything that differs from run to run."""


@dataclass(slots=True)
class Scratch:
    """A repository that may be spoiled. What is made on it is undone when `undo` closes."""

    github: GitHub
    full_repo: str
    sleep: Callable[[float], None]
    undo: ExitStack = field(default_factory=ExitStack)

    @property
    def owner(self) -> str:
        return self.full_repo.partition("/")[0]

    def ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One call below ``/repos/ORG/REPO``. Raises Unreadable when there was no answer."""
        return self.github.ask(self.owner, verb, f"/repos/{self.full_repo}{path}", body)

    def must(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The data of an answer that a probe cannot do without. Raises Unreadable when it was refused."""
        answer = self.ask(verb, path, body)
        if answer.status >= 400:
            raise Unreadable(f"{verb} /repos/{self.full_repo}{path}: {answer.text}")
        return answer.data

    def tip(self) -> str:
        """The tip of the default branch."""
        branch = self.must("GET", "")["default_branch"]
        return str(self.must("GET", f"/git/ref/heads/{quote(branch)}")["object"]["sha"])

    def commit(self, parent: str, message: str) -> str:
        """A commit that changes nothing; each of another message, or two would be one."""
        tree = self.must("GET", f"/git/commits/{parent}")["tree"]["sha"]
        return str(self.must("POST", "/git/commits", {"message": message, "tree": tree, "parents": [parent]})["sha"])

    def branch(self, name: str, sha: str) -> str:
        """A branch for as long as the probe runs; its whole name."""
        whole = f"{PREFIX}{name}"
        self.must("POST", "/git/refs", {"ref": f"refs/heads/{whole}", "sha": sha})
        self.undo.callback(self.ask, "DELETE", f"/git/refs/heads/{whole}")
        return whole

    def protect(self, name: str, **settings: Any) -> None:
        """Protect a branch, administrators included, for as long as the probe runs."""
        path = f"/branches/{quote(name)}/protection"
        nothing = dict.fromkeys(("required_status_checks", "required_pull_request_reviews", "restrictions"))
        self.must("PUT", path, {**nothing, "enforce_admins": True, **settings})
        self.undo.callback(self.ask, "DELETE", path)

    def pull(self, base: str, head: str) -> int:
        """The number of a new pull request, which is closed with the probe."""
        number = int(self.must("POST", "/pulls", {"title": f"Probe {head}", "head": head, "base": base})["number"])
        self.undo.callback(self.ask, "PATCH", f"/pulls/{number}", {"state": "closed"})
        return number

    def green(self, sha: str) -> None:
        """Report the context that probes require."""
        self.must("POST", f"/statuses/{sha}", {"state": "success", "context": _CONTEXT})

    def waits(self, what: Callable[[], bool]) -> float | None:
        """The seconds until something is so; None when it takes too long."""
        for step in range(int(_PATIENCE / _STEP) + 1):
            if what():
                return step * _STEP
            self.sleep(_STEP)
        return None


def _said(answer: Reply) -> Observation:
    """An answer that is compared: its status and its message, to the letter but for addresses."""
    message = (answer.data or {}).get("message")
    return {"status": answer.status, "message": message and _HOST.sub("https://HOST", message)}


def indirect_merge(scratch: Scratch) -> Observation:
    """Whether a pull request to another branch than the default one is merged once its head is pushed there."""
    start = scratch.tip()
    base = scratch.branch("base", start)
    sha = scratch.commit(start, "Indirect")
    number = scratch.pull(base, scratch.branch("head", sha))
    scratch.must("PATCH", f"/git/refs/heads/{base}", {"sha": sha})
    waited = scratch.waits(lambda: bool(scratch.must("GET", f"/pulls/{number}")["merged"]))
    return {"merged": waited is not None, "~seconds": waited}


def head_out_of_date(scratch: Scratch) -> Observation:
    """What a merge is answered whose head is behind a base that is protected strictly."""
    start = scratch.tip()
    base = scratch.branch("strict", start)
    head = scratch.commit(start, "Head")
    number = scratch.pull(base, scratch.branch("behind", head))
    scratch.green(head)
    scratch.must("PATCH", f"/git/refs/heads/{base}", {"sha": scratch.commit(start, "Ahead")})
    scratch.protect(base, required_status_checks={"strict": True, "contexts": [_CONTEXT]})
    scratch.waits(lambda: scratch.must("GET", f"/pulls/{number}")["mergeable"] is not None)
    return _said(scratch.ask("PUT", f"/pulls/{number}/merge", {"sha": head}))


def strict_on_push(scratch: Scratch) -> Observation:
    """Whether a tested commit on top of a base that is protected strictly can be pushed there."""
    start = scratch.tip()
    base = scratch.branch("direct", start)
    tested = scratch.commit(start, "Tested")
    scratch.branch("tested", tested)
    scratch.green(tested)
    scratch.protect(base, required_status_checks={"strict": True, "contexts": [_CONTEXT]})
    return {"status": scratch.ask("PATCH", f"/git/refs/heads/{base}", {"sha": tested}).status}


def update_of_another_head(scratch: Scratch) -> Observation:
    """What bringing a pull request up to date is answered when its head is another."""
    start = scratch.tip()
    head = scratch.branch("moved", scratch.commit(start, "Moved"))
    number = scratch.pull(scratch.branch("onto", start), head)
    return _said(scratch.ask("PUT", f"/pulls/{number}/update-branch", {"expected_head_sha": start}))


def check_of_any_app(scratch: Scratch) -> Observation:
    """How a required check that any App may report is shown."""
    name = scratch.branch("anyone", scratch.tip())
    checks = [{"context": "one", "app_id": -1}, {"context": "two"}]
    scratch.protect(name, required_status_checks={"strict": False, "contexts": [], "checks": checks})
    shown = scratch.must("GET", f"/branches/{quote(name)}/protection")["required_status_checks"]["checks"]
    return {one["context"]: one["app_id"] for one in shown}


def contexts_beside_checks(scratch: Scratch) -> Observation:
    """Which of `contexts` and `checks` is kept when both are sent."""
    name = scratch.branch("both", scratch.tip())
    both = {"strict": False, "contexts": ["one"], "checks": [{"context": "two"}]}
    scratch.protect(name, required_status_checks=both)
    shown = scratch.must("GET", f"/branches/{quote(name)}/protection")["required_status_checks"]["contexts"]
    return {"contexts": sorted(shown)}


def words_of_rulesets(scratch: Scratch) -> Observation:
    """The message by which a ruleset refuses a ref that is moved over REST, its line ends included."""
    start = scratch.tip()
    name = scratch.branch("ruled", start)
    parameters = {"required_status_checks": [{"context": _CONTEXT}], "strict_required_status_checks_policy": False}
    ruleset = {
        "name": f"{PREFIX}words",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": [f"refs/heads/{name}"], "exclude": []}},
        "rules": [{"type": "required_status_checks", "parameters": parameters}],
    }
    made = scratch.must("POST", "/rulesets", ruleset)
    scratch.undo.callback(scratch.ask, "DELETE", f"/rulesets/{made['id']}")
    return _said(scratch.ask("PATCH", f"/git/refs/heads/{name}", {"sha": scratch.commit(start, "Ruled")}))


def overlapping_wildcards(scratch: Scratch) -> Observation:
    """Which of two wildcards that both match a branch protects it, and whether a star crosses a slash."""
    flat, deep = scratch.branch("over", scratch.tip()), scratch.branch("deep/er", scratch.tip())
    owner, _, name = scratch.full_repo.partition("/")

    def applied(ref: str) -> Any:
        wanted = {"owner": owner, "name": name, "ref": f"refs/heads/{ref}"}
        return scratch.github.query(scratch.owner, _APPLIED, wanted, ref)["repository"]

    for pattern in (f"{PREFIX}*", f"{PREFIX}ov*"):
        asked = {"repository": applied(flat)["id"], "pattern": pattern}
        made = scratch.github.query(scratch.owner, _RULE, asked, pattern)
        rule = {"rule": made["createBranchProtectionRule"]["branchProtectionRule"]["id"]}
        scratch.undo.callback(scratch.github.query, scratch.owner, _UNRULE, rule, pattern)
    found = {key: applied(ref)["ref"]["branchProtectionRule"] for key, ref in (("flat", flat), ("deep", deep))}
    return {key: rule and rule["pattern"] for key, rule in found.items()}


def bad_credentials(scratch: Scratch) -> Observation:
    """What a token is answered that GitHub does not know."""
    stranger = scratch.github.speaking_as(Pat("ghp_" + "0" * 36))
    scratch.undo.callback(stranger.close)
    return _said(stranger.ask(scratch.owner, "GET", "/user"))


def long_search(scratch: Scratch) -> Observation:
    """What a search of more than 256 characters is answered."""
    return _searched(scratch, "ISSUE", f'repo:"{scratch.full_repo}" is:pr {"x" * 260}')


def many_alternatives(scratch: Scratch) -> Observation:
    """Whether a search may have six labels as alternatives."""
    labels = ",".join(f'"l{number}"' for number in range(6))
    return _searched(scratch, "ISSUE", f'repo:"{scratch.full_repo}" is:pr label:{labels}')


def advanced_search(scratch: Scratch) -> Observation:
    """Whether the type ISSUE_ADVANCED of searches is known."""
    return _searched(scratch, "ISSUE_ADVANCED", f'repo:"{scratch.full_repo}" is:pr')


def _searched(scratch: Scratch, kind: str, text: str) -> Observation:
    try:
        scratch.github.query(scratch.owner, _SEARCH % kind, {"text": text}, "the search")
    except Unreadable as error:
        return {"refused": str(error).removeprefix("the search could not be read: ")}
    return {"refused": None}


PROBES: tuple[Callable[[Scratch], Observation], ...] = (
    indirect_merge,
    head_out_of_date,
    strict_on_push,
    update_of_another_head,
    check_of_any_app,
    contexts_beside_checks,
    words_of_rulesets,
    overlapping_wildcards,
    bad_credentials,
    long_search,
    many_alternatives,
    advanced_search,
)


def compare(
    github: GitHub, full_repo: str, sandbox: GitHub, sleep: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    """What each probe saw on both, where the repository has the same name: a document for each, once it is over.
    Raises Unreadable when there is no such repository.
    """
    Scratch(github, full_repo, sleep).tip()
    for theirs, ours in zip(observe(github, full_repo, sleep), observe(sandbox, full_repo, sleep), strict=True):
        name, asks, seen = theirs
        yield {"probe": name, "asks": asks, "seen": seen, "sandbox": ours[2], "same": not differs(seen, ours[2])}


def observe(github: GitHub, full_repo: str, sleep: Callable[[float], None]) -> Iterator[tuple[str, str, Observation]]:
    """The name of each probe, what it asks, and what was seen; a probe that could not be carried out says why."""
    for probe in PROBES:
        scratch = Scratch(github, full_repo, sleep)
        try:
            with scratch.undo:
                seen = probe(scratch)
        except (Unreadable, HeldBack) as error:
            seen = {"could not": str(error)}
        yield probe.__name__, " ".join((probe.__doc__ or "").split()), seen


def differs(one: Observation, other: Observation) -> bool:
    """Whether two observations tell of another GitHub; what begins with a tilde is for people."""
    told = ({key: value for key, value in seen.items() if not key.startswith("~")} for seen in (one, other))
    return next(told) != next(told)
