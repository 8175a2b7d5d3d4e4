"""Asks a GitHub, on a repository that may be spoiled, what its documentation leaves open, to compare with the sandbox.

Each probe makes what it needs under ``mergeq-probe/``, asks one thing, and removes what it made. Its docstring says
what it asks; a second paragraph, where there is one, how its answers are to be taken.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from mergeq.github import App, GitHub, HeldBack, NoCredentials, Pat, Reply, Unreadable

PREFIX = "mergeq-probe/"
_PATIENCE = 60  # seconds for what GitHub does by and by
_STEP = 2.0
_CONTEXT = "mergeq-probe"
_WORKFLOW = ".github/workflows/mergeq-probe.yml"
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


class NotApplicable(Exception):
    """A probe has nothing to ask here; the text says why."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides which probes apply: whether the repository is a person's, and whether we are an App that may not
    change workflows.
    """

    is_personal: bool = False
    lacks_workflows: bool = False


@dataclass(slots=True)
class Scratch:
    """A repository that may be spoiled. What is made on it is undone when `undo` closes; `sent` are all calls, each as
    it was answered, and once where the same was asked again and again.
    """

    github: GitHub
    full_repo: str
    sleep: Callable[[float], None]
    about: Circumstances = Circumstances()
    undo: ExitStack = field(default_factory=ExitStack)
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def owner(self) -> str:
        return self.full_repo.partition("/")[0]

    def ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One call below ``/repos/ORG/REPO``. Raises Unreadable when there was no answer."""
        note = self._note(f"{verb} /repos/{self.full_repo}{path}", body)
        answer = self.github.ask(self.owner, verb, f"/repos/{self.full_repo}{path}", body)
        note["answer"] = answer.text.removeprefix("GitHub answered ")
        return answer

    def run(self, document: str, variables: Mapping[str, Any], what: str) -> Any:
        """The data of one GraphQL operation. Raises Unreadable."""
        note = self._note("POST /graphql", {"query": " ".join(document.split()), "variables": dict(variables)})
        try:
            data = self.github.query(self.owner, document, variables, what)
        except Unreadable as error:
            note["answer"] = str(error)
            raise
        note["answer"] = "data"
        return data

    def _note(self, call: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        made: dict[str, Any] = {"call": call, "body": body, "answer": "none"}
        if self.sent and (self.sent[-1]["call"], self.sent[-1]["body"]) == (call, body):
            self.sent.pop()
        self.sent.append(made)
        return made

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

    def commit(self, parent: str, message: str, *, merges: str = "", adds: str = "") -> str:
        """A commit on `parent` that changes nothing, or `adds` the file of that path; each of another message, or two
        would be one. One that `merges` another commit too has the tree of that one.
        """
        tree = self.must("GET", f"/git/commits/{merges or parent}")["tree"]["sha"]
        if adds:
            entry = {"path": adds, "mode": "100644", "type": "blob", "content": f"# {message}\n"}
            tree = self.must("POST", "/git/trees", {"base_tree": tree, "tree": [entry]})["sha"]
        body = {"message": message, "tree": tree, "parents": [parent, merges] if merges else [parent]}
        return str(self.must("POST", "/git/commits", body)["sha"])

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

    def rule(self, branch: str, kind: str, parameters: Mapping[str, Any]) -> Reply:
        """Ask for a ruleset of one rule on a branch, for as long as the probe runs."""
        ruleset = {
            "name": branch,
            "target": "branch",
            "enforcement": "active",
            "conditions": {"ref_name": {"include": [f"refs/heads/{branch}"], "exclude": []}},
            "rules": [{"type": kind, "parameters": parameters}],
        }
        made = self.ask("POST", "/rulesets", ruleset)
        if made.status < 400:
            self.undo.callback(self.ask, "DELETE", f"/rulesets/{made.data['id']}")
        return made

    def pull(self, base: str, head: str) -> int:
        """The number of a new pull request, which is closed with the probe."""
        number = int(self.must("POST", "/pulls", {"title": f"Probe {head}", "head": head, "base": base})["number"])
        self.undo.callback(self.ask, "PATCH", f"/pulls/{number}", {"state": "closed"})
        return number

    def green(self, sha: str) -> None:
        """Report the context that probes require."""
        self.must("POST", f"/statuses/{sha}", {"state": "success", "context": _CONTEXT})

    def until_mergeable_is_known(self, number: int) -> None:
        """Give GitHub time to find out whether a pull request can be merged, which is what it says until then."""
        self.waits(lambda: self.must("GET", f"/pulls/{number}")["mergeable"] is not None)

    def waits(self, what: Callable[[], bool]) -> float | None:
        """The seconds until something is so; None when it takes too long."""
        for step in range(int(_PATIENCE / _STEP) + 1):
            if what():
                return step * _STEP
            self.sleep(_STEP)
        return None


def _said(answer: Reply) -> Observation:
    """An answer that is compared: its status, its message and its errors, to the letter but for addresses."""
    told = answer.data if isinstance(answer.data, dict) else {}
    message, errors = told.get("message"), told.get("errors")
    seen = {"status": answer.status, "message": message and _HOST.sub("https://HOST", message)}
    return seen | {"errors": errors} if errors else seen


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
    scratch.until_mergeable_is_known(number)
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
    _require(scratch, name)
    return _said(scratch.ask("PATCH", f"/git/refs/heads/{name}", {"sha": scratch.commit(start, "Ruled")}))


def _require(scratch: Scratch, branch: str) -> None:
    """Require the context of probes by a ruleset. Raises Unreadable."""
    parameters = {"required_status_checks": [{"context": _CONTEXT}], "strict_required_status_checks_policy": False}
    made = scratch.rule(branch, "required_status_checks", parameters)
    if made.status >= 400:
        raise Unreadable(f"no ruleset could be made: {made.text}")


def merged_by_hand(scratch: Scratch) -> Observation:
    """Whether the merge of a green pull request that is up to date may be pushed though it has no result of its own:
    with the tree of the head, with another tree, and where a ruleset asks.

    The sandbox knows no such exception: it asks every pushed commit for results of its own.
    """
    found: dict[str, Any] = {}
    for key in ("same tree", "other tree", "by a ruleset"):
        try:
            found[key] = _pushed_by_hand(scratch, key)
        except Unreadable as error:
            found[key] = {"could not": str(error)}
    return found


def _pushed_by_hand(scratch: Scratch, key: str) -> Observation:
    start, name = scratch.tip(), key.replace(" ", "-")
    base, head = scratch.branch(f"{name}-base", start), scratch.commit(start, f"Head for {key}")
    number = scratch.pull(base, scratch.branch(name, head))
    scratch.green(head)
    if key == "by a ruleset":
        _require(scratch, base)
    else:
        scratch.protect(base, required_status_checks={"strict": True, "contexts": [_CONTEXT]})
    scratch.until_mergeable_is_known(number)
    adds = "mergeq-probe.txt" if key == "other tree" else ""
    merge = scratch.commit(start, f"Merge for {key}", merges=head, adds=adds)
    return _said(scratch.ask("PATCH", f"/git/refs/heads/{base}", {"sha": merge}))


def overlapping_wildcards(scratch: Scratch) -> Observation:
    """Which of two wildcards that both match a branch protects it, and whether a star crosses a slash."""
    flat, deep = scratch.branch("over", scratch.tip()), scratch.branch("deep/er", scratch.tip())
    owner, _, name = scratch.full_repo.partition("/")

    def applied(ref: str) -> Any:
        wanted = {"owner": owner, "name": name, "ref": f"refs/heads/{ref}"}
        return scratch.run(_APPLIED, wanted, ref)["repository"]

    for pattern in (f"{PREFIX}*", f"{PREFIX}ov*"):
        asked = {"repository": applied(flat)["id"], "pattern": pattern}
        made = scratch.run(_RULE, asked, pattern)
        rule = {"rule": made["createBranchProtectionRule"]["branchProtectionRule"]["id"]}
        scratch.undo.callback(scratch.run, _UNRULE, rule, pattern)
    found = {key: applied(ref)["ref"]["branchProtectionRule"] for key, ref in (("flat", flat), ("deep", deep))}
    return {key: rule and rule["pattern"] for key, rule in found.items()}


def bad_credentials(scratch: Scratch) -> Observation:
    """What a token is answered that GitHub does not know."""
    stranger = scratch.github.speaking_as(Pat("ghp_" + "0" * 36))
    scratch.undo.callback(stranger.close)
    return _said(replace(scratch, github=stranger).ask("GET", ""))


def long_search(scratch: Scratch) -> Observation:
    """What a search of more than 256 characters is answered.

    The sandbox does not simulate free text, and refuses it in words of its own.
    """
    return _searched(scratch, "ISSUE", f'repo:"{scratch.full_repo}" is:pr {"x" * 260}')


def many_alternatives(scratch: Scratch) -> Observation:
    """Whether a search may have seven labels as alternatives, by commas and by more than five ORs, in both types of
    search.

    The sandbox simulates neither OR nor ISSUE_ADVANCED, and refuses them in words of its own.
    """
    labels = [f"l{number}" for number in range(7)]
    spelt = {
        "commas": "label:" + ",".join(labels),
        "ORs": "(" + " OR ".join(f"label:{label}" for label in labels) + ")",
    }
    return {
        f"{kind} with {way}": _searched(scratch, kind, f'repo:"{scratch.full_repo}" is:pr {text}')["refused"]
        for kind in ("ISSUE", "ISSUE_ADVANCED")
        for way, text in spelt.items()
    }


def advanced_search(scratch: Scratch) -> Observation:
    """Whether the type ISSUE_ADVANCED of searches is known.

    The sandbox follows the published schema, which does not have it.
    """
    return _searched(scratch, "ISSUE_ADVANCED", f'repo:"{scratch.full_repo}" is:pr')


def _searched(scratch: Scratch, kind: str, text: str) -> Observation:
    try:
        scratch.run(_SEARCH % kind, {"text": text}, "the search")
    except Unreadable as error:
        return {"refused": str(error).removeprefix("the search could not be read: ")}
    return {"refused": None}


def label_taken_off(scratch: Scratch) -> Observation:
    """What taking a label off is answered, and whether it is off (Q73).

    200 with the labels that are left, 204 and 404 are all as good: what counts is that it is off.
    """
    start = scratch.tip()
    number = scratch.pull(
        scratch.branch("labelled-base", start), scratch.branch("labelled", scratch.commit(start, "Labelled"))
    )
    scratch.undo.callback(scratch.ask, "DELETE", f"/labels/{_CONTEXT}")
    scratch.must("POST", f"/issues/{number}/labels", {"labels": [_CONTEXT]})
    answer = scratch.ask("DELETE", f"/issues/{number}/labels/{_CONTEXT}")
    if answer.status not in {200, 204, 404}:
        raise Unreadable(f"the label could not be taken off: {answer.text}")
    left = {label["name"] for label in scratch.must("GET", f"/issues/{number}/labels")}
    return {"status": answer.status, "off": _CONTEXT not in left}


def restrictions_of_a_person(scratch: Scratch) -> Observation:
    """What is answered to restrictions of who may push, on a repository that belongs to a person."""
    if not scratch.about.is_personal:
        raise NotApplicable("the repository is an organization's")
    path = f"/branches/{quote(scratch.branch('restricted', scratch.tip()))}/protection"
    nothing = dict.fromkeys(("required_status_checks", "required_pull_request_reviews", "enforce_admins"))
    answer = scratch.ask("PUT", path, {**nothing, "restrictions": {"users": [], "teams": [], "apps": []}})
    if answer.status < 400:
        scratch.undo.callback(scratch.ask, "DELETE", path)
    return _said(answer)


def native_queue(scratch: Scratch) -> Observation:
    """Whether a ruleset may ask for GitHub's own merge queue, which not every plan and Enterprise Server has.

    The sandbox has it in organizations alone; what plans and servers lack is not simulated.
    """
    parameters = {
        "check_response_timeout_minutes": 60,
        "grouping_strategy": "ALLGREEN",
        "max_entries_to_build": 5,
        "max_entries_to_merge": 5,
        "merge_method": "MERGE",
        "min_entries_to_merge": 1,
        "min_entries_to_merge_wait_minutes": 5,
    }
    made = scratch.rule(scratch.branch("queue", scratch.tip()), "merge_queue", parameters)
    return {**_said(made), "~server": made.headers.get("x-github-enterprise-version", "github.com")}


def workflow_by_app(scratch: Scratch) -> Observation:
    """What an App that may not change workflows is answered when it makes a branch that does, and when it merges it.

    The sandbox lets the branch be made. Where GitHub does not, a pull request that somebody else has opened, and that
    changes a workflow, is merged in its place if there is one.
    """
    if not scratch.about.lacks_workflows:
        raise NotApplicable("only an App without the permission workflows is refused so")
    start, number = scratch.tip(), 0
    base = scratch.branch("worked-base", start)
    try:
        number = scratch.pull(base, scratch.branch("worked", scratch.commit(start, "Worked", adds=_WORKFLOW)))
        made = "it could be made"
    except Unreadable as error:
        made = str(error)
        listed = (pull["number"] for pull in scratch.must("GET", "/pulls?per_page=30"))
        number = next((one for one in listed if _changes_workflows(scratch, one)), 0)
    if not number:
        return {"branch": made, "merge": "there is no pull request to merge"}
    return {"branch": made, "merge": _said(scratch.ask("PUT", f"/pulls/{number}/merge", {}))}


def _changes_workflows(scratch: Scratch, number: int) -> bool:
    files = scratch.must("GET", f"/pulls/{number}/files?per_page=100")
    return any(file["filename"].startswith(".github/workflows/") for file in files)


def archived(scratch: Scratch) -> Observation:
    """What a status, a moved branch and a merge are answered in an archived repository, which is archived for that and
    un-archived whatever happens.
    """
    start = scratch.tip()
    base = scratch.branch("archived-base", start)
    head = scratch.commit(start, "Archived")
    number = scratch.pull(base, scratch.branch("archived", head))
    scratch.undo.callback(_open_again, scratch)
    answer = scratch.ask("PATCH", "", {"archived": True})
    if answer.status >= 400:
        raise NotApplicable(f"the repository may not be archived by us: {answer.text}")
    return {
        "status": _said(scratch.ask("POST", f"/statuses/{head}", {"state": "success", "context": _CONTEXT})),
        "ref": _said(scratch.ask("PATCH", f"/git/refs/heads/{base}", {"sha": head})),
        "merge": _said(scratch.ask("PUT", f"/pulls/{number}/merge", {"sha": head})),
    }


def _open_again(scratch: Scratch) -> None:
    """Have a repository not archived, or say that it is. Raises Unreadable."""

    def is_open() -> bool:
        with suppress(Unreadable):
            scratch.ask("PATCH", "", {"archived": False})
            return not scratch.must("GET", "")["archived"]
        return False

    if scratch.waits(is_open) is None:
        raise Unreadable(f"{scratch.full_repo} is still archived; un-archive it in its settings")


Probe = Callable[[Scratch], Observation]

PROBES: tuple[Probe, ...] = (
    indirect_merge,
    head_out_of_date,
    strict_on_push,
    update_of_another_head,
    check_of_any_app,
    contexts_beside_checks,
    words_of_rulesets,
    merged_by_hand,
    overlapping_wildcards,
    bad_credentials,
    long_search,
    many_alternatives,
    advanced_search,
    label_taken_off,
    restrictions_of_a_person,
    native_queue,
    workflow_by_app,
    archived,
)


def circumstances(github: GitHub, full_repo: str) -> Circumstances:
    """What decides which probes apply to a repository. Raises Unreadable when there is no such repository."""
    repo = Scratch(github, full_repo, lambda _: None).must("GET", "")
    lacks = False
    if isinstance(github.credentials, App):
        try:
            lacks = github.credentials.granted(full_repo.partition("/")[0]).get("workflows") != "write"
        except NoCredentials as error:
            raise Unreadable(str(error)) from error
    return Circumstances(repo["owner"]["type"] == "User", lacks)


def compared(probe: Probe, theirs: Scratch, ours: Scratch) -> dict[str, Any]:
    """What a probe saw on a GitHub and on the sandbox, where the repository has the same name and the circumstances are
    the same, as one JSON document.
    """
    seen, sent = tried(probe, theirs)
    simulated, _ = tried(probe, ours)
    asks, _, note = (probe.__doc__ or "").partition("\n\n")
    return {
        "probe": probe.__name__,
        "asks": " ".join(asks.split()),
        "note": " ".join(note.split()),
        "sent": sent,
        "seen": seen,
        "sandbox": simulated,
        "same": not differs(seen, simulated),
    }


def tried(probe: Probe, scratch: Scratch) -> tuple[Observation, list[dict[str, Any]]]:
    """What a probe saw, or why it could not or need not be carried out, and all its calls; what it made is removed."""
    fresh = replace(scratch, undo=ExitStack(), sent=[])
    seen: Observation
    try:
        with fresh.undo:
            seen = probe(fresh)
    except NotApplicable as error:
        seen = {"not applicable": str(error)}
    except (Unreadable, HeldBack) as error:
        seen = {"could not": str(error)}
    return seen, fresh.sent


def lines(compared: Mapping[str, Any]) -> Iterator[str]:
    """What `compared` found, for a terminal."""
    name = compared["probe"]
    yield f"{'same' if compared['same'] else 'differs':<7}  {name}: {json.dumps(compared['seen'])}"
    if not compared["same"]:
        yield f"sandbox  {name}: {json.dumps(compared['sandbox'])}"
        if compared["note"]:
            yield f"note     {name}: {compared['note']}"


def differs(one: Observation, other: Observation) -> bool:
    """Whether two observations tell of another GitHub; what begins with a tilde is for people."""
    told = ({key: value for key, value in seen.items() if not key.startswith("~")} for seen in (one, other))
    return next(told) != next(told)
