"""GraphQL answers at the root: repositories, search, global ids, the viewer and the rate limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mergeq.sandbox.asking import is_assignable, is_assigned
from mergeq.sandbox.clock import iso
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.git import HEADS
from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.graph_commits import (
    ActorNode,
    BlobNode,
    CommitNode,
    RefNode,
    TreeNode,
    actor,
    commit,
    owner_of,
    ref,
)
from mergeq.sandbox.graph_conversations import LabelNode, ReviewNode, ThreadNode
from mergeq.sandbox.graph_protection import RuleNode, TeamNode
from mergeq.sandbox.graph_rulesets import RulesetNode
from mergeq.sandbox.graph_schema import Connection, Context, GraphRefusedError, Resolvers, connect
from mergeq.sandbox.ids import node_id, parts_of
from mergeq.sandbox.records import App, Issue, Method, Pull, Repo, Ticket
from mergeq.sandbox.refusals import NotSimulatedError, by_single_sign_on
from mergeq.sandbox.search import MAX_RESULTS
from mergeq.sandbox.searching import find
from mergeq.sandbox.users import Role
from mergeq.sandbox.world import World

Kind = TypeVar("Kind")


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
        organization=_organization,
        user=_user,
        repository_owner=lambda _root, ctx, login: _owner_or_none(ctx, login),
    )
    for name in ("cost", "limit", "nodeCount", "remaining", "resetAt", "used"):
        resolvers.field("RateLimit", name=name)(_item(name))
    for name in ("startCursor", "endCursor", "hasNextPage", "hasPreviousPage"):
        resolvers.field("PageInfo", name=name)(_item(name))
    for name in ("cursor", "node"):
        resolvers.field("SearchResultItemEdge", "PullRequestEdge", name=name)(_item(name))
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
    if context.world.faults.fires(FaultId.AUTH_SAML, repo.full_name):
        raise GraphRefusedError("FORBIDDEN", by_single_sign_on("OAuth token").message)
    return repo


def _owner_or_none(context: Context, login: str) -> ActorNode | None:
    repo = next((repo for repo in context.world.repos() if repo.owner.casefold() == login.casefold()), None)
    if repo is not None:
        return owner_of(repo)
    return actor(login) if context.world.users.knows(login) else None


def _organization(_root: None, context: Context, login: str) -> ActorNode:
    found = _owner_or_none(context, login)
    if found is None or found.kind != "Organization":
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to an Organization with the login of '{login}'.")
    return found


def _user(_root: None, context: Context, login: str) -> ActorNode:
    found = _owner_or_none(context, login)
    if found is None or found.kind != "User":
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to a User with the login of '{login}'.")
    return found


def _search(_root: None, context: Context, query: str, type: str, **page: Any) -> Connection:  # noqa: A002, ARG001
    """Every hit is counted, but only the first 1000 can be paged through, by offsets (Q22)."""
    hits, faults = find(context.world, context.caller.sees, query), context.world.faults
    if page.get("after") and faults.fires(FaultId.SEARCH_SHIFT):
        hits = [*hits[1:], *hits[:1]]
    capped = faults.fires(FaultId.SEARCH_CAP, when=lambda fault: len(hits) > int(fault.args["n"]))
    most = int(capped.args["n"]) if capped else MAX_RESULTS
    return replace(connect(hits[:most], **page), total=len(hits))


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
    if len(parts) == 1 and prefix in ("U", "O", "T", "A"):
        return _actor_by_id(context, prefix, int(parts[0]))
    if prefix in _BY_NUMBER and len(parts) == 1:
        return next((one.node for one in _BY_NUMBER[prefix](context) if one.number == int(parts[0])), None)
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
        return None if login is None else _owner_or_none(context, login)
    owner, _, slug = login.removeprefix("@").partition("/")
    return TeamNode(owner, slug)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A node that is found by a number which is its alone in the whole world."""

    number: int
    node: Any


def _seen(context: Context) -> Iterator[Repo]:
    return (repo for repo in context.world.repos() if context.caller.sees(repo))


def _all_labels(context: Context) -> Iterator[_Numbered]:
    for repo in _seen(context):
        yield from (_Numbered(label.id, LabelNode(repo, label)) for label in repo.labels.values())


def _all_reviews(context: Context) -> Iterator[_Numbered]:
    for repo, pull in _all_pulls(context):
        yield from (_Numbered(review.id, ReviewNode(repo, pull, review)) for review in pull.reviews)


def _all_threads(context: Context) -> Iterator[_Numbered]:
    for _, pull in _all_pulls(context):
        yield from (_Numbered(thread.id, ThreadNode(pull, thread)) for thread in pull.threads)


def _all_runs(context: Context) -> Iterator[_Numbered]:
    suites = (suite for repo in _seen(context) for suites in repo.suites.values() for suite in suites)
    yield from (_Numbered(run.id, run) for suite in suites for run in suite.runs)


def _all_pulls(context: Context) -> Iterator[tuple[Repo, Pull]]:
    yield from ((repo, pull) for repo in _seen(context) for pull in repo.pulls.values())


def _all_rulesets(context: Context) -> Iterator[_Numbered]:
    for repo in _seen(context):
        known = (*repo.rulesets.values(), *repo.owner_rulesets.values())
        yield from (_Numbered(ruleset.id, RulesetNode(repo, ruleset)) for ruleset in known)


_BY_NUMBER: Mapping[str, Callable[[Context], Iterator[_Numbered]]] = {
    "LA": _all_labels,
    "PRR": _all_reviews,
    "PRRT": _all_threads,
    "CR": _all_runs,
    "RRS": _all_rulesets,
}


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
        viewer_permission=lambda repo, ctx: (repo.people.role_of(ctx.viewer) or Role.READ).upper(),
        viewer_can_administer=lambda repo, ctx: repo.people.is_admin(ctx.viewer),
        default_branch_ref=lambda repo, _: ref(repo, HEADS + repo.default_branch),
        ref=_ref,
        refs=_refs,
        object=_object,
        pull_request=_pull_request,
        pull_requests=_pull_requests,
        issue=_issue,
        issue_or_pull_request=_ticket,
        issues=_issues,
        label=lambda repo, _, name: (
            LabelNode(repo, repo.labels[name.casefold()]) if name.casefold() in repo.labels else None
        ),
        labels=_labels,
        assignable_users=_assignable_users,
    )
    _bind_settings(resolvers)


def _assignable_users(repo: Repo, _context: Context, **page: Any) -> Connection:
    logins = (login for login in repo.people.collaborators() if is_assignable(repo, login))
    return connect([ActorNode(login) for login in logins], **page)


def _teams(node: ActorNode, context: Context, order_by: Mapping[str, str] | None = None, **page: Any) -> Connection:
    """By name, which is the only order there is."""
    slugs = context.world.users.teams_of_org(node.login)
    falling = order_by is not None and order_by["direction"] == "DESC"
    return connect([TeamNode(node.login, slug) for slug in (slugs[::-1] if falling else slugs)], **page)


def _bind_settings(resolvers: Resolvers) -> None:
    resolvers.bind(
        "Repository",
        description=lambda repo, _: repo.settings.description,
        homepage_url=lambda repo, _: repo.settings.homepage,
        parent=lambda repo, _: repo.fork_of,
        created_at=lambda repo, _: iso(repo.created_at),
        updated_at=lambda repo, _: iso(max(repo.pushed_at, repo.updated_at)),
        pushed_at=lambda repo, _: iso(repo.pushed_at),
        is_in_organization=lambda repo, _: not repo.owner_is_user,
        visibility=lambda repo, _: "PRIVATE" if repo.private else "PUBLIC",
        is_disabled=lambda _repo, _ctx: False,
        has_issues_enabled=lambda _repo, _ctx: True,
        has_wiki_enabled=lambda _repo, _ctx: False,
        has_projects_enabled=lambda _repo, _ctx: False,
        auto_merge_allowed=lambda repo, _: repo.settings.allow_auto_merge,
        allow_update_branch=lambda repo, _: repo.settings.allow_update_branch,
        delete_branch_on_merge=lambda repo, _: repo.settings.delete_branch_on_merge,
        squash_merge_commit_title=lambda repo, _: repo.settings.squash_merge_commit_title,
        squash_merge_commit_message=lambda repo, _: repo.settings.squash_merge_commit_message,
        merge_commit_title=lambda repo, _: repo.settings.merge_commit_title,
        merge_commit_message=lambda repo, _: repo.settings.merge_commit_message,
        viewer_default_merge_method=lambda repo, _: next(m.upper() for m in Method if m in repo.allowed),
        merge_queue=lambda _repo, _ctx, branch=None: None,  # noqa: ARG005 - no branch has one
    )
    resolvers.bind(
        "Organization",
        name=lambda node, _: node.login,
        url=lambda node, ctx: f"{ctx.shapes.web}/{node.login}",
        teams=_teams,
        team=lambda node, ctx, slug: (
            TeamNode(node.login, slug) if slug in ctx.world.users.teams_of_org(node.login) else None
        ),
        repositories=_owned,
        repository=lambda node, ctx, name: next(
            (repo for repo in _seen(ctx) if repo.full_name.casefold() == f"{node.login}/{name}".casefold()), None
        ),
    )
    resolvers.bind(
        "User",
        url=lambda node, ctx: f"{ctx.shapes.web}/{node.login}",
        database_id=lambda node, ctx: ctx.world.users.id_of(node.login),
        repositories=_owned,
    )


def _owned(
    node: ActorNode,
    context: Context,
    is_archived: bool | None = None,
    is_fork: bool | None = None,
    owner_affiliations: Sequence[str] = (),  # noqa: ARG001 - what somebody owns is all that is kept of them
    **page: Any,
) -> Connection:
    """What an account owns, by name, as far as the asker sees it."""
    mine = (repo for repo in _seen(context) if repo.owner.casefold() == node.login.casefold())
    chosen = (
        repo for repo in mine if is_archived in (None, repo.archived) and is_fork in (None, repo.fork_of is not None)
    )
    return connect(sorted(chosen, key=lambda repo: repo.full_name), **page)


def _labels(
    repo: Repo,
    _context: Context,
    query: str | None = None,
    order_by: Mapping[str, str] | None = None,
    **page: Any,
) -> Connection:
    nodes = [
        LabelNode(repo, label) for label in repo.labels.values() if (query or "").casefold() in label.name.casefold()
    ]
    if order_by and order_by["field"] == "NAME":
        nodes.sort(key=lambda node: node.label.name.casefold())
    return connect(nodes[::-1] if order_by and order_by["direction"] == "DESC" else nodes, **page)


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
) -> CommitNode | TreeNode | BlobNode | None:
    if oid is not None:
        return _object_by_id(repo, oid)
    name, colon, path = (expression or "").partition(":")
    if colon:
        return _object_at(repo, name, path)
    sha = repo.git.resolve(expression) if expression else None
    return None if sha is None else commit(repo, sha)


def _object_at(repo: Repo, name: str, path: str) -> TreeNode | BlobNode | None:
    """What lies at a path of a commit: a file, a folder, or nothing."""
    sha = repo.git.resolve(name)
    entry = sha and repo.git.entry_at(sha, path)
    if not entry:
        return None
    return BlobNode(repo, entry.sha) if entry.kind == "blob" else TreeNode(repo, entry.sha)


def _object_by_id(repo: Repo, oid: str) -> CommitNode | TreeNode | BlobNode | None:
    found = _commit_or_none(repo, oid)
    if found is not None:
        return found
    match repo.git.kind(oid):
        case "tree":
            return TreeNode(repo, oid)
        case "blob":
            return BlobNode(repo, oid)
        case None:
            return None
        case kind:
            raise NotSimulatedError(f"Repository.object of a {kind}")


def _is_hidden(world: World, pull: Pull) -> bool:
    """Whether a pull request cannot be found yet, though its event is out (Q70)."""
    early = world.faults.fires(
        FaultId.READ_NOT_YET,
        pull.repo,
        pull.number,
        when=lambda lag: "ms" in lag.args and world.now() < pull.created_at + lag.delay_s,
    )
    return early is not None


def _pull_request(repo: Repo, context: Context, number: int) -> Pull:
    if number not in repo.pulls or _is_hidden(context.world, repo.pulls[number]):
        raise GraphRefusedError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
    return context.world.lags.seen(repo.pulls[number], context.world.now())


def _ticket(repo: Repo, _context: Context, number: int) -> Pull | Issue:
    found = repo.ticket(number)
    if found is None:
        words = f"Could not resolve to an issue or pull request with the number of {number}."
        raise GraphRefusedError("NOT_FOUND", words)
    return found


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
        if not _is_hidden(context.world, pull)
        and (not states or ("MERGED" if pull.merged else pull.state.upper()) in states)
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
    filter_by: Mapping[str, Any] | None = None,
    **page: Any,
) -> Connection:
    asked = {name for name, value in (filter_by or {}).items() if value not in (None, False)}
    unknown = asked - {"assignee", "createdBy", "labels", "states"}
    if unknown:
        raise NotSimulatedError(f"issues filtered by {min(unknown)}")
    wanted = filter_by or {}
    states, labels = states or wanted.get("states"), labels or wanted.get("labels")
    chosen = [
        issue
        for issue in repo.issues.values()
        if (not states or issue.state.upper() in states)
        and _any_label(issue, labels)
        and wanted.get("createdBy") in (None, issue.author)
        and is_assigned(issue, wanted.get("assignee"))
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
