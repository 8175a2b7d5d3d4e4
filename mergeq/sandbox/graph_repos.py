"""GraphQL answers at the root: repositories, search, global ids, the viewer and the rate limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mergeq.sandbox import search
from mergeq.sandbox.clock import iso
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.graph_commits import (
    ActorNode,
    CommitNode,
    RefNode,
    TreeNode,
    actor,
    commit,
    owner_of,
    ref,
    rollup,
    rollup_state,
)
from mergeq.sandbox.graph_protection import RuleNode, TeamNode
from mergeq.sandbox.graph_schema import Connection, Context, GraphRefusedError, Resolvers, connect
from mergeq.sandbox.ids import node_id, parts_of
from mergeq.sandbox.policy import opinions, review_decision
from mergeq.sandbox.records import App, Issue, Method, Pull, Repo, ReviewState, Ticket
from mergeq.sandbox.refusals import NotSimulatedError
from mergeq.sandbox.users import Role
from mergeq.sandbox.world import World

Kind = TypeVar("Kind")
Index = Sequence[tuple[search.Candidate, Ticket]]


def bind(resolvers: Resolvers) -> None:
    """Add these answers."""
    resolvers.is_a(Repo, "Repository")
    resolvers.bind(
        "Query",
        viewer=lambda _root, ctx: ActorNode(ctx.viewer),
        rate_limit=_rate_limit,
        repository=_repository,
        search=_search,
        node=_node,
        nodes=_nodes,
    )
    for name in ("cost", "limit", "nodeCount", "remaining", "resetAt", "used"):
        resolvers.field("RateLimit", name=name)(_item(name))
    for name in ("startCursor", "endCursor", "hasNextPage", "hasPreviousPage"):
        resolvers.field("PageInfo", name=name)(_item(name))
    for name in ("cursor", "node"):
        resolvers.field("SearchResultItemEdge", name=name)(_item(name))
    resolvers.bind("SearchResultItemConnection", issue_count=lambda page, _: page.total)
    _bind_repository(resolvers)


def _item(name: str) -> Callable[..., Any]:
    return lambda source, _context: source[name]


def _rate_limit(_root: None, context: Context) -> dict[str, Any] | None:
    """Nothing where a server has no limits (Q84)."""
    if context.world.faults.is_on(FaultId.LIMIT_NONE):
        return None
    budget = context.budget
    return {
        "cost": context.cost,
        "limit": budget.limit,
        "nodeCount": context.node_count,
        "remaining": budget.remaining,
        "resetAt": iso(budget.reset_at),
        "used": budget.used,
    }


def _repository(_root: None, context: Context, owner: str, name: str) -> Repo:
    full_name = f"{owner}/{name}"
    repo = context.world.find_repo(full_name) or context.world.moved_repo(full_name)
    if repo is None or not context.caller.sees(repo):
        message = f"Could not resolve to a Repository with the name '{owner}/{name}'."
        raise GraphRefusedError("NOT_FOUND", message)
    return repo


def _search(_root: None, context: Context, query: str, type: str, **page: Any) -> Connection:  # noqa: A002, ARG001
    """Every hit is counted, but only the first 1000 can be paged through (Q22)."""
    wanted = search.parse(query)
    entries = _without_dropped(context.world, _indexed(context.world))
    seen = {repo.full_name for repo in context.world.repos() if context.caller.sees(repo)}
    found = {item: ticket for item, ticket in entries if ticket.repo in seen and search.matches(wanted, item)}
    hits = [found[item] for item in search.order(wanted, found)]
    return replace(connect(hits[: search.MAX_RESULTS], **page), total=len(hits))


def _indexed(world: World) -> Index:
    """Everything search knows: as it is, or with ``search.lag`` as it was up to that long ago (Q20)."""
    late, now = world.faults.standing(FaultId.SEARCH_LAG), world.now()
    if late is not None and world.search_index is not None and now < world.search_index[0] + late.delay_s:
        world.faults.fires(FaultId.SEARCH_LAG, late.repo)
        return world.search_index[1]
    entries: Index = [(candidate(repo, ticket), ticket) for repo in world.repos() for ticket in repo.tickets]
    world.search_index = None if late is None else (now, entries)
    return entries


def _without_dropped(world: World, entries: Index) -> Index:
    """With ``search.drop`` some pull requests, or all, are not found (Q19)."""
    drop = world.faults.standing(FaultId.SEARCH_DROP)
    fault = None if drop is None else world.faults.fires(FaultId.SEARCH_DROP, drop.repo)
    if fault is None:
        return entries
    numbers = fault.args.get("prs")
    return [
        (item, ticket)
        for item, ticket in entries
        if fault.repo not in (None, ticket.repo) or (numbers is not None and ticket.number not in numbers)
    ]


def candidate(repo: Repo, ticket: Pull | Issue) -> search.Candidate:
    """What search knows of an issue or pull request."""
    shared: dict[str, Any] = {
        "repo": repo.full_name,
        "number": ticket.number,
        "state": ticket.state,
        "author": ticket.author,
        "created_at": int(ticket.created_at),
        "updated_at": int(ticket.updated_at),
        "labels": frozenset(ticket.labels),
        "milestone": ticket.milestone.title if ticket.milestone else None,
        "archived": repo.archived,
    }
    if isinstance(ticket, Issue):
        return search.Candidate(is_pull=False, **shared)
    reported = rollup(repo, ticket.head_sha)
    state = rollup_state(reported.contexts) if reported else None
    return search.Candidate(
        is_pull=True,
        base=ticket.base_ref,
        head=ticket.head_ref,
        draft=ticket.draft,
        merged=ticket.merged,
        reviews=_review_words(repo, ticket),
        status="failure" if state in ("ERROR", "FAILURE") else state.lower() if state else None,
        **shared,
    )


def _review_words(repo: Repo, pull: Pull) -> frozenset[str]:
    states = {review.state for review in opinions(pull).values()}
    words = set()
    if not pull.reviews:
        words.add("none")
    match review_decision(repo, pull):
        case "REVIEW_REQUIRED":
            words.add("required")
        case "APPROVED":
            words.add("approved")
        case None if states == {ReviewState.APPROVED}:
            words.add("approved")
    if ReviewState.CHANGES_REQUESTED in states:
        words.add("changes_requested")
    return frozenset(words)


def _node(_root: None, context: Context, id: str) -> Any:  # noqa: A002
    return _as_read(context, the_node(context, id, object))


def _as_read(context: Context, found: Any) -> Any:
    """What a reader gets to see: of a pull request perhaps how it was a while ago."""
    return context.world.lags.seen(found, context.world.now()) if isinstance(found, Pull) else found


def the_node(context: Context, identifier: str, kind: type[Kind]) -> Kind:
    """The node of a global id; raises GraphRefusedError if there is none of that kind."""
    found = _found(context, identifier)
    if isinstance(found, GraphRefusedError):
        raise found
    if not isinstance(found, kind):
        raise _not_found(identifier)
    return found


def _nodes(_root: None, context: Context, ids: Sequence[str]) -> list[Any]:
    """An id that leads nowhere is an error of its own place in the list."""
    return [_as_read(context, _found(context, identifier)) for identifier in ids]


def _found(context: Context, identifier: str) -> Any:
    found = _resolve(context, identifier)
    return _not_found(identifier) if found is None else found


def _resolve(context: Context, identifier: str) -> Any:
    prefix, parts = parts_of(identifier) or ("", ())
    if not parts or not parts[0].isdigit():
        return None
    if len(parts) == 1 and prefix in ("U", "T", "A"):
        return _actor_by_id(context, prefix, int(parts[0]))
    repo = context.world.repo_by_id(int(parts[0]))
    if repo is None or not context.caller.sees(repo):
        return None
    match prefix, parts:
        case "R", (_,):
            return repo
        case "PR", (_, number) if number.isdigit():
            return repo.pulls.get(int(number))
        case "I", (_, number) if number.isdigit():
            return repo.issues.get(int(number))
        case "REF", (_, name):
            return ref(repo, name)
        case "C", (_, sha):
            return _commit_or_none(repo, sha)
        case "BPR", (_, number):
            rules = (RuleNode(repo, pattern, rule) for pattern, rule in repo.protections.items())
            return next((node for node in rules if str(node.rule.id) == number), None)
    return None


def _actor_by_id(context: Context, prefix: str, number: int) -> ActorNode | TeamNode | App | None:
    """A user, a team (kept under ``@ORG/TEAM``), or an App."""
    if prefix == "A":
        return next((app for app in context.world.apps() if app.id == number), None)
    login = context.world.users.login_by_id(number)
    if login is None or not login.startswith("@"):
        return actor(login)
    owner, _, slug = login.removeprefix("@").partition("/")
    return TeamNode(owner, slug)


def _commit_or_none(repo: Repo, sha: str) -> CommitNode | None:
    try:
        return commit(repo, sha)
    except GitError:
        return None


def _not_found(identifier: str) -> GraphRefusedError:
    return GraphRefusedError("NOT_FOUND", f"Could not resolve to a node with the global id of '{identifier}'.")


def _bind_repository(resolvers: Resolvers) -> None:
    resolvers.attributes("Repository", "name")
    resolvers.bind(
        "Repository",
        id=lambda repo, _: node_id("R", repo.id),
        database_id=lambda repo, _: repo.id,
        name_with_owner=lambda repo, _: repo.full_name,
        owner=_owner,
        url=lambda repo, ctx: ctx.html(repo),
        is_archived=lambda repo, _: repo.archived,
        is_private=lambda repo, _: repo.private,
        is_fork=lambda repo, _: repo.fork_of is not None,
        merge_commit_allowed=lambda repo, _: Method.MERGE in repo.allowed,
        squash_merge_allowed=lambda repo, _: Method.SQUASH in repo.allowed,
        rebase_merge_allowed=lambda repo, _: Method.REBASE in repo.allowed,
        merge_commit_title=lambda _repo, _: "MERGE_MESSAGE",
        merge_commit_message=lambda _repo, _: "PR_TITLE",
        squash_merge_commit_title=lambda _repo, _: "PR_TITLE",
        squash_merge_commit_message=lambda _repo, _: "COMMIT_MESSAGES",
        viewer_permission=lambda repo, ctx: (repo.people.role_of(ctx.viewer) or Role.READ).upper(),
        viewer_can_administer=lambda repo, ctx: repo.people.is_admin(ctx.viewer),
        default_branch_ref=lambda repo, _: ref(repo, HEADS + repo.default_branch),
        ref=_ref,
        refs=_refs,
        object=_object,
        pull_request=_pull_request,
        pull_requests=_pull_requests,
        issue=_issue,
        issues=_issues,
        labels=lambda repo, _, **page: connect(list(repo.labels.values()), **page),
    )


def _owner(repo: Repo, _context: Context) -> ActorNode:
    return owner_of(repo)


def _ref(repo: Repo, _context: Context, qualified_name: str) -> RefNode | None:
    names = (qualified_name, HEADS + qualified_name, f"refs/tags/{qualified_name}")
    return next((found for name in names if (found := ref(repo, name))), None)


def _refs(repo: Repo, _context: Context, ref_prefix: str, **page: Any) -> Connection:
    chosen = sorted(name for name in repo.git.refs() if name.startswith(ref_prefix))
    return connect([RefNode(repo, name, repo.git.refs()[name]) for name in chosen], **page)


def _object(
    repo: Repo, _context: Context, oid: str | None = None, expression: str | None = None
) -> CommitNode | TreeNode | None:
    if oid is not None:
        return _object_by_id(repo, oid)
    if expression and ":" in expression:
        raise NotSimulatedError("Repository.object of a path")
    sha = repo.git.resolve(expression) if expression else None
    return None if sha is None else commit(repo, sha)


def _object_by_id(repo: Repo, oid: str) -> CommitNode | TreeNode | None:
    found = _commit_or_none(repo, oid)
    if found is not None:
        return found
    match repo.git.kind(oid):
        case "tree":
            return TreeNode(repo, oid)
        case None:
            return None
        case kind:
            raise NotSimulatedError(f"Repository.object of a {kind}")


def _pull_request(repo: Repo, context: Context, number: int) -> Pull:
    if number not in repo.pulls:
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
    return context.world.lags.seen(repo.pulls[number], context.world.now())


def _issue(repo: Repo, _context: Context, number: int) -> Issue:
    if number not in repo.issues:
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to an Issue with the number of {number}.")
    return repo.issues[number]


def _pull_requests(
    repo: Repo,
    context: Context,
    states: Sequence[str] | None = None,
    base_ref_name: str | None = None,
    head_ref_name: str | None = None,
    labels: Sequence[str] | None = None,
    order_by: dict[str, str] | None = None,
    **page: Any,
) -> Connection:
    chosen = [
        pull
        for pull in context.world.lags.all_seen(repo.pulls.values(), context.world.now())
        if (not states or ("MERGED" if pull.merged else pull.state.upper()) in states)
        and base_ref_name in (None, pull.base_ref)
        and head_ref_name in (None, pull.head_ref)
        and _any_label(pull, labels)
    ]
    return connect(_ordered(chosen, order_by), **page)


def _issues(
    repo: Repo,
    _context: Context,
    states: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    order_by: dict[str, str] | None = None,
    **page: Any,
) -> Connection:
    chosen = [
        issue
        for issue in repo.issues.values()
        if (not states or issue.state.upper() in states) and _any_label(issue, labels)
    ]
    return connect(_ordered(chosen, order_by), **page)


def _any_label(ticket: Ticket, labels: Sequence[str] | None) -> bool:
    return not labels or any(ticket.has_label(name) for name in labels)


def _ordered(tickets: Sequence[Ticket], order_by: dict[str, str] | None) -> list[Ticket]:
    """Oldest first unless asked otherwise."""
    if order_by is None:
        return sorted(tickets, key=lambda ticket: ticket.number)
    by_update = order_by["field"] == "UPDATED_AT"
    return sorted(
        tickets,
        key=lambda t: (t.updated_at if by_update else t.created_at, t.number),
        reverse=order_by["direction"] == "DESC",
    )
