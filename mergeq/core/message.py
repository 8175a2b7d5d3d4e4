"""The messages of the commits that land: from templates, else as GitHub would write them (docs.github.com, "About pull
request merges"). What a pull request's author wrote must not steer CI (Q87).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mergeq.core.go_values import Moment, Nil, Struct, Value, read
from mergeq.core.pull import Commit, Method, PullRequest, Repository, Result
from mergeq.core.template import Template, render

_SILENCING = re.compile(  # each CI has words of its own
    r"\[(?P<words>no ci|skip[ -][\w -]{1,30}|[\w -]{1,30}[ -]skip)\]|\*{3}(?P<azure>no_ci)\*{3}", re.IGNORECASE
)
_TRAILER = re.compile(r"(skip-checks)\s*:", re.IGNORECASE)
_HEADS = "refs/heads/"
_NO_MILESTONE = Nil("*tide.Milestone", frozenset({"Title"}))
_NO_GERRIT = Nil("*gerrit.ChangeInfo")


@dataclass(frozen=True, slots=True)
class CommitTemplate:
    """Title and body of a merge commit as configured (T1.44); None: left to GitHub."""

    title: Template | None = None
    body: Template | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A title and a body; what is empty is left to GitHub. `failures` say which template gave nothing, and why."""

    title: str = ""
    body: str = ""
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The message of a commit."""
        return f"{self.title}\n\n{self.body.strip()}" if self.body.strip() else self.title


def templated(template: CommitTemplate, pull: PullRequest) -> Message:
    """What the templates say of a pull request, each for itself: one that fails is left out (T1.46)."""
    record = record_of(pull)
    texts = {"title": "", "body": ""}
    failures = []
    for part, one in (("title", template.title), ("body", template.body)):
        if one is not None:
            done = render(one, record)
            texts[part] = done.text
            failures += [f"the template for the commit {part} failed: {done.failure}"] if done.failure else []
    return Message(**texts, failures=tuple(failures))


def to_ask_for(
    template: CommitTemplate, pull: PullRequest, method: Method, repository: Repository, commits: Sequence[Commit]
) -> Message:
    """What GitHub is to be told of the message when it merges: what the templates say, and its own default only where
    that carries a marker that silences CI (Q87).
    """
    said, default = templated(template, pull), by_default(pull, method, repository, commits)
    title, body = (
        neutral(ours or (githubs if neutral(githubs) != githubs else ""))
        for ours, githubs in ((said.title, default.title), (said.body, default.body))
    )
    return Message(title, body, said.failures)


def to_write(
    template: CommitTemplate, pull: PullRequest, method: Method, repository: Repository, commits: Sequence[Commit]
) -> Message:
    """The message that GitHub will give to the commit when it merges by `method`, merge or squash."""
    said, default = templated(template, pull), by_default(pull, method, repository, commits)
    return Message(neutral(said.title or default.title), neutral(said.body or default.body), said.failures)


def neutral(text: str) -> str:
    """The text with every marker that silences CI made harmless, readable as before."""
    return _TRAILER.sub(r"\1 =", _SILENCING.sub(r"(\g<words>\g<azure>)", text))


def by_default(pull: PullRequest, method: Method, repository: Repository, commits: Sequence[Commit]) -> Message:
    """What GitHub says by itself, as the repository is set up. `commits` are the pull request's, oldest first and
    without merges; only a squash is about them. A rebase keeps the messages that there are.
    """
    numbered = f"{pull.title} (#{pull.number})"
    if method is Method.REBASE:
        return Message()
    if method is Method.MERGE:
        owner = pull.head_owner or pull.org
        title = f"Merge pull request #{pull.number} from {owner}/{pull.head_ref}"
        bodies = {"PR_BODY": pull.body, "PR_TITLE": pull.title}
        return Message(
            numbered if repository.merge_title == "PR_TITLE" else title, bodies.get(repository.merge_message, "")
        )
    if repository.squash_title == "COMMIT_OR_PR_TITLE" and len(commits) == 1:
        numbered = f"{commits[0].message.partition(chr(10))[0]} (#{pull.number})"
    bodies = {"PR_BODY": pull.body, "COMMIT_MESSAGES": _listed(commits)}
    body = bodies.get(repository.squash_message, "").strip()
    return Message(numbered, "\n\n".join(filter(None, (body, _co_authors(pull, commits, body)))))


def _listed(commits: Sequence[Commit]) -> str:
    if len(commits) == 1:
        return commits[0].message.partition("\n")[2]
    return "\n\n".join(f"* {commit.message.strip()}" for commit in commits)


def _co_authors(pull: PullRequest, commits: Sequence[Commit], body: str) -> str:
    """The trailers for those who wrote some of it and are not its author; below a line where a body is above them."""
    others = (commit for commit in commits if pull.author not in {commit.login, commit.name})
    lines = dict.fromkeys(f"Co-authored-by: {commit.name} <{commit.email}>" for commit in others if commit.email)
    missing = [line for line in lines if line.lower() not in body.lower()]
    return "\n".join((["---------\n"] if body and missing else []) + missing)


def record_of(pull: PullRequest) -> Struct:
    """What a template is given: Tide's provider-neutral record with GitHub's own below it (T1.45).

    Of the commits it has the head, and of a check run whether it passed.
    """
    login = pull.author.removesuffix("[bot]")
    updated = Moment(datetime.fromtimestamp(pull.updated_at, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"))
    texts = {name: read(getattr(pull, name)) for name in ("org", "repo", "base", "head_ref", "title", "body")}
    shared: dict[str, Value] = {"Number": pull.number, "Title": texts["title"], "Body": texts["body"]}
    heads: dict[str, Value] = {"HeadRefName": texts["head_ref"], "HeadRefOID": pull.head_sha}
    opinion: dict[str, Value] = {"Mergeable": pull.mergeable.value}
    full = f"{texts['org']}/{texts['repo']}"
    github: dict[str, Value] = {
        **shared,
        **heads,
        **opinion,
        "Author": Struct({"Login": login}),
        "BaseRef": Struct({"Name": texts["base"], "Prefix": _HEADS}),
        "MergeStateStatus": pull.merge_state,
        "CanBeRebased": pull.can_be_rebased,
        "Repository": Struct({"Name": texts["repo"], "NameWithOwner": full, "Owner": Struct({"Login": texts["org"]})}),
        "ReviewDecision": pull.review_decision or "",
        "Commits": Struct({"Nodes": (Struct({"Commit": _head(pull)}),)}),
        "Labels": Struct({"Nodes": tuple(Struct({"Name": read(label)}) for label in pull.labels)}),
        "Milestone": _NO_MILESTONE
        if pull.milestone is None
        else Struct({"Title": read(pull.milestone)}, is_pointer=True),
        "UpdatedAt": updated,
    }
    return Struct(
        {
            **shared,
            **heads,
            **opinion,
            "NameWithOwner": full,
            "Org": texts["org"],
            "Repo": texts["repo"],
            "BaseRefPrefix": _HEADS,
            "BaseRefName": texts["base"],
            "AuthorLogin": login,
            "UpdatedAtTime": updated,
            "GitHub": Struct(github, is_pointer=True),
            "Gerrit": _NO_GERRIT,
        }
    )


def _head(pull: PullRequest) -> Struct:
    contexts = pull.contexts or ()
    statuses = (
        Struct({"Context": read(one.name), "Description": read(one.description), "State": one.result.value})
        for one in contexts
        if one.app is None
    )
    runs = (
        Struct({"CheckRun": Struct({"Name": read(one.name), **_run(one.result)})})
        for one in contexts
        if one.app is not None
    )
    return Struct(
        {
            "Status": Struct({"Contexts": tuple(statuses)}),
            "OID": pull.head_sha,
            "StatusCheckRollup": Struct({"Contexts": Struct({"Nodes": tuple(runs)})}),
        }
    )


def _run(result: Result) -> dict[str, Value]:
    if result is Result.PENDING:
        return {"Conclusion": "", "Status": "IN_PROGRESS"}
    return {"Conclusion": result.value, "Status": "COMPLETED"}
