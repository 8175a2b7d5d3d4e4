"""GraphQL answers about git objects: refs, commits, statuses, check runs and their rollup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mergeq.sandbox.clock import iso
from mergeq.sandbox.demands import bindings
from mergeq.sandbox.git import HEADS, ZERO
from mergeq.sandbox.git_objects import CommitInfo, FileChange, Person
from mergeq.sandbox.graph_schema import Connection, Context, GraphRefusedError, Resolvers, connect
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.policy import ContextVerdict, run_verdict, status_verdict
from mergeq.sandbox.pulls import brings
from mergeq.sandbox.records import App, CheckRun, Repo, Status, StatusState
from mergeq.sandbox.users import GHOST, login_of


@dataclass(frozen=True, slots=True)
class ActorNode:
    """A login as User, Organization or Bot."""

    login: str
    kind: str = "User"


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many contexts of one kind are in a state."""

    state: str
    count: int


@dataclass(frozen=True, slots=True)
class RefNode:
    """A ref and the commit it names."""

    repo: Repo
    ref: str
    sha: str


@dataclass(frozen=True, slots=True)
class CommitNode:
    """A commit and the repository it is looked up in."""

    repo: Repo
    info: CommitInfo


@dataclass(frozen=True, slots=True)
class SignatureNode:
    """The signature that a commit carries."""

    info: CommitInfo


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A tree, of which only the id is shown."""

    repo: Repo
    oid: str


@dataclass(frozen=True, slots=True)
class BlobNode:
    """A file's content."""

    repo: Repo
    oid: str


@dataclass(frozen=True, slots=True)
class GitActorNode:
    """Who made a commit, and when (epoch seconds)."""

    person: Person
    at: int


@dataclass(frozen=True, slots=True)
class StatusNode:
    """The commit statuses of one commit, newest of each context."""

    repo: Repo
    sha: str
    statuses: tuple[Status, ...]


@dataclass(frozen=True, slots=True)
class RollupNode:
    """Statuses and check runs of one commit, together."""

    repo: Repo
    sha: str
    contexts: tuple[Status | CheckRun, ...]


def actor(login: str | None) -> ActorNode | None:
    """A user or bot; None stays None (Q32)."""
    if login is None or login == GHOST:
        return None
    return ActorNode(login.removesuffix("[bot]"), "Bot") if login.endswith("[bot]") else ActorNode(login)


def owner_of(repo: Repo) -> ActorNode:
    """The organization or user a repository belongs to."""
    return ActorNode(repo.owner, "User" if repo.owner_is_user else "Organization")


def commit(repo: Repo, sha: str) -> CommitNode:
    """The node of a commit that exists; raises GitError otherwise."""
    return CommitNode(repo, repo.git.commit(sha))


def ref(repo: Repo, name: str) -> RefNode | None:
    """The node of a full ref, or None."""
    sha = repo.git.refs().get(name)
    return None if sha is None else RefNode(repo, name, sha)


def rollup(repo: Repo, sha: str) -> RollupNode | None:
    """Everything reported on a commit, or None if nothing is (Q38)."""
    found: tuple[Status | CheckRun, ...] = (*repo.latest_runs(sha), *repo.latest_statuses(sha))
    return RollupNode(repo, sha, found) if found else None


def rollup_state(contexts: Sequence[Status | CheckRun]) -> str:
    """FAILURE before ERROR before PENDING before SUCCESS, required or not."""
    verdicts = {status_verdict(c) if isinstance(c, Status) else run_verdict(c) for c in contexts}
    if ContextVerdict.FAILING in verdicts:
        errors_only = all(
            isinstance(c, Status) and c.state is StatusState.ERROR
            for c in contexts
            if (status_verdict(c) if isinstance(c, Status) else run_verdict(c)) is ContextVerdict.FAILING
        )
        return "ERROR" if errors_only else "FAILURE"
    return "SUCCESS" if verdicts <= {ContextVerdict.PASSING} else "PENDING"


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(ActorNode, lambda node: node.kind)
    resolvers.is_a(CommitNode, "Commit")
    resolvers.is_a(RefNode, "Ref")
    resolvers.is_a(TreeNode, "Tree")
    resolvers.is_a(Status, "StatusContext")
    resolvers.is_a(CheckRun, "CheckRun")
    for kind, prefix in (("User", "U"), ("Organization", "O"), ("Bot", "U")):
        resolvers.bind(kind, id=lambda node, ctx, prefix=prefix: node_id(prefix, ctx.world.users.id_of(node.login)))
        resolvers.attributes(kind, "login")
    resolvers.bind("User", name=lambda node, _: node.login, email=lambda _node, _ctx: "")
    resolvers.bind(
        "Ref",
        id=lambda node, _: node_id("REF", node.repo.id, node.ref),
        name=lambda node, _: node.ref.split("/", 2)[2],
        prefix=lambda node, _: "/".join(node.ref.split("/", 2)[:2]) + "/",
        target=lambda node, _: commit(node.repo, node.sha),
    )
    resolvers.bind("Tree", id=lambda node, _: node_id("T", node.repo.id, node.oid))
    resolvers.attributes("Tree", "oid")
    resolvers.is_a(BlobNode, "Blob")
    resolvers.bind(
        "Blob",
        id=lambda node, _: node_id("B", node.repo.id, node.oid),
        byte_size=lambda node, _: len(node.repo.git.blob(node.oid)),
        is_binary=lambda node, _: b"\0" in node.repo.git.blob(node.oid),
        text=_text,
    )
    resolvers.attributes("Blob", "oid")
    _bind_commit(resolvers)
    _bind_checks(resolvers)


def _text(node: BlobNode, _context: Context) -> str | None:
    content = node.repo.git.blob(node.oid)
    return None if b"\0" in content else content.decode(errors="replace")


def _bind_commit(resolvers: Resolvers) -> None:
    resolvers.bind(
        "Commit",
        id=lambda node, _: node_id("C", node.repo.id, node.info.sha),
        oid=lambda node, _: node.info.sha,
        url=lambda node, ctx: f"{ctx.html(node.repo)}/commit/{node.info.sha}",
        message=lambda node, _: node.info.message,
        message_headline=lambda node, _: node.info.headline,
        message_body=lambda node, _: node.info.body,
        tree=lambda node, _: TreeNode(node.repo, node.info.tree),
        parents=_parents,
        authored_date=lambda node, _: iso(node.info.authored_at),
        committed_date=lambda node, _: iso(node.info.committed_at),
        pushed_date=lambda _node, _ctx: None,
        check_suites=_check_suites,
        history=_history,
        author=lambda node, _: GitActorNode(node.info.author, node.info.authored_at),
        committer=lambda node, _: GitActorNode(node.info.committer, node.info.committed_at),
        status=_status,
        status_check_rollup=lambda node, ctx: readable_rollup(ctx, node.repo, node.info.sha),
        abbreviated_oid=lambda node, _: node.info.sha[:7],
        committed_via_web=lambda node, _: node.info.is_verified,
        additions=lambda node, _: sum(change.additions for change in _changes(node)),
        deletions=lambda node, _: sum(change.deletions for change in _changes(node)),
        changed_files_if_available=lambda node, _: len(_changes(node)),
        authors=lambda node, _, **page: connect([GitActorNode(node.info.author, node.info.authored_at)], **page),
        associated_pull_requests=_pulls_with,
        signature=lambda node, _: SignatureNode(node.info) if node.info.signature else None,
    )
    resolvers.is_a(SignatureNode, "GpgSignature")
    resolvers.bind(
        "GpgSignature",
        is_valid=lambda node, _: node.info.is_verified,
        state=lambda node, _: "VALID" if node.info.is_verified else "UNKNOWN_KEY",
        signature=lambda node, _: node.info.signature,
        payload=lambda node, _: node.info.payload,
        email=lambda node, _: node.info.committer.email,
        was_signed_by_git_hub=lambda node, _: node.info.is_verified,
        signer=lambda node, _: actor(login_of(node.info.committer)),
    )
    resolvers.bind(
        "GitActor",
        date=lambda node, _: iso(node.at),
        email=lambda node, _: node.person.email,
        name=lambda node, _: node.person.name,
        user=lambda node, _: actor(login_of(node.person)),
    )


def _changes(node: CommitNode) -> Sequence[FileChange]:
    return node.repo.git.changes(node.info.parents[0], node.info.sha) if node.info.parents else ()


def _pulls_with(node: CommitNode, _context: Context, **page: Any) -> Connection:
    """Pull requests that brought a commit here or would."""
    return connect([pull for pull in node.repo.pulls.values() if brings(node.repo, pull, node.info.sha)], **page)


def _parents(node: CommitNode, _context: Context, **page: Any) -> Connection:
    infos = node.repo.git.commits(node.info.parents) if node.info.parents else ()
    return connect([CommitNode(node.repo, info) for info in infos], **page)


def _history(node: CommitNode, _context: Context, **page: Any) -> Connection:
    """The commit and all before it, newest first."""
    git = node.repo.git
    infos = git.commits([sha for sha, _ in git.new_commits(ZERO, node.info.sha)][::-1])
    return connect([CommitNode(node.repo, info) for info in infos], **page)


def readable_rollup(context: Context, repo: Repo, sha: str) -> RollupNode | None:
    """What is reported on a commit, for a token that may read statuses or check runs."""
    context.require(({"checks": "read"}, {"statuses": "read"}), repo)
    return rollup(repo, sha)


def _check_suites(node: CommitNode, context: Context, **page: Any) -> Connection:
    context.require(({"checks": "read"},), node.repo)
    return connect(node.repo.suites.get(node.info.sha, ()), **page)


def _status(node: CommitNode, context: Context) -> StatusNode | None:
    context.require(({"statuses": "read"},), node.repo)
    statuses = node.repo.latest_statuses(node.info.sha)
    return StatusNode(node.repo, node.info.sha, statuses) if statuses else None


def _bind_checks(resolvers: Resolvers) -> None:
    resolvers.bind(
        "Status",
        id=lambda node, _: node_id("S", node.repo.id, node.sha),
        state=lambda node, _: rollup_state(node.statuses),
        contexts=lambda node, _: node.statuses,
        context=_status_of,
        commit=lambda node, _: commit(node.repo, node.sha),
    )
    resolvers.bind(
        "StatusContext",
        id=lambda status, _: node_id("SC", status.id),
        state=lambda status, _: status.state.upper(),
        created_at=lambda status, _: iso(status.created_at),
        creator=lambda status, _: actor(status.creator),
        is_required=_is_required,
        commit=_commit_of_status,
    )
    resolvers.attributes("StatusContext", "context description targetUrl")
    resolvers.bind(
        "StatusCheckRollup",
        id=lambda node, _: node_id("SCR", node.repo.id, node.sha),
        state=lambda node, _: rollup_state(node.contexts),
        commit=lambda node, _: commit(node.repo, node.sha),
        contexts=lambda node, _, **page: connect(node.contexts, **page),
    )
    resolvers.bind(
        "StatusCheckRollupContextConnection",
        check_run_count=lambda page, _: sum(isinstance(c, CheckRun) for c in page.items),
        check_run_counts_by_state=lambda page, _: _counts(
            run.conclusion or run.status for run in page.items if isinstance(run, CheckRun)
        ),
        status_context_count=lambda page, _: sum(isinstance(c, Status) for c in page.items),
        status_context_counts_by_state=lambda page, _: _counts(
            status.state for status in page.items if isinstance(status, Status)
        ),
    )
    for counted in ("CheckRunStateCount", "StatusContextStateCount"):
        resolvers.attributes(counted, "state count")
    resolvers.bind(
        "CheckRun",
        id=lambda run, _: node_id("CR", run.id),
        database_id=lambda run, _: run.id,
        status=lambda run, _: run.status.upper(),
        conclusion=lambda run, _: run.conclusion and run.conclusion.upper(),
        started_at=lambda run, _: iso(run.started_at),
        completed_at=lambda run, _: None if run.completed_at is None else iso(run.completed_at),
        url=_run_url,
        details_url=lambda run, ctx: run.details_url or _run_url(run, ctx),
        check_suite=lambda run, _: run.suite,
        permalink=_run_url,
        text=lambda _run, _ctx: None,
        is_required=_is_required,
    )
    resolvers.attributes("CheckRun", "name title summary externalId")
    resolvers.bind(
        "CheckSuite",
        id=lambda suite, _: node_id("CS", suite.id),
        database_id=lambda suite, _: suite.id,
        created_at=lambda suite, _: iso(suite.created_at),
        status=lambda suite, _: suite.status.upper(),
        conclusion=lambda suite, _: suite.conclusion and suite.conclusion.upper(),
        workflow_run=lambda _suite, _ctx: None,
        commit=lambda suite, ctx: commit(ctx.world.repo(suite.repo), suite.sha),
        check_runs=lambda suite, _, **page: connect(suite.latest, **page),
    )
    resolvers.attributes("CheckSuite", "app")
    resolvers.bind("App", id=_app_id, database_id=lambda app, _: app.id, name=lambda app, _: app.slug)
    resolvers.attributes("App", "slug")


def _counts(states: Iterable[str]) -> list[StateCount]:
    """How often each state is there."""
    return [StateCount(state.upper(), count) for state, count in sorted(Counter(states).items())]


def _status_of(node: StatusNode, _context: Context, name: str) -> Status | None:
    return next((status for status in node.statuses if status.context.casefold() == name.casefold()), None)


def _commit_of_status(status: Status, context: Context) -> CommitNode | None:
    homes = (repo for repo in context.world.repos() if status in repo.statuses.get(status.sha, ()))
    return next((commit(repo, status.sha) for repo in homes), None)


def _is_required(
    reported: Status | CheckRun,
    context: Context,
    pull_request_id: str | None = None,
    pull_request_number: int | None = None,
) -> bool:
    """Whether the base of a pull request asks for this context."""
    if pull_request_id is None and pull_request_number is None:
        raise GraphRefusedError("UNPROCESSABLE", "A pull request ID or pull request number is required.")
    name, sha = (
        (reported.context, reported.sha) if isinstance(reported, Status) else (reported.name, reported.suite.sha)
    )
    for repo in context.world.repos():
        for pull in repo.pulls.values():
            asked = pull_request_id == node_id("PR", repo.id, pull.number) or pull_request_number == pull.number
            if asked and pull.head_sha == sha:
                asked_for = [binding.demands.status for binding in bindings(repo, HEADS + pull.base_ref)]
                return name.casefold() in {c.context.casefold() for rule in asked_for if rule for c in rule.checks}
    return False


def _run_url(run: CheckRun, context: Context) -> str:
    return f"{context.shapes.web}/{run.suite.repo}/runs/{run.id}"


def _app_id(app: App, _context: Context) -> str:
    return node_id("A", app.id)
