"""Switches that are no faults: what people do meanwhile, done at once, or before a later request (``after``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any

from mergeq.sandbox import checks, installing, merging, moving, protecting
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.records import Method, Protection, Pull, Repo, Restrictions, ReviewRule
from mergeq.sandbox.users import BOT

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

Act = Callable[["World", Fault], None]
NOT_ON_OLD_SERVERS = frozenset(
    {
        ("PullRequest", "mergeStateStatus"),
        ("PullRequest", "isInMergeQueue"),
        ("PullRequest", "isMergeQueueEnabled"),
        ("Ref", "rules"),
    }
)


def carry_out_due(world: World, repo: str | None) -> None:
    """Do what was switched on for later (``after``), now that there is a request about a repository, or any (None)."""
    for one in world.faults.listed():
        act = _ACTS.get(one.id)
        if act is None or not one.after:
            continue
        if world.faults.fires(one.id, repo or one.repo, one.pr, when=partial(is_, one)):
            act(world, one)


def carry_out(world: World, fault: Fault) -> None:
    """Do what is switched on if it is an act for now, and count it; raises KeyError for a match that leads nowhere."""
    act = None if fault.after else _ACTS.get(fault.id)
    if fault.id is FaultId.CHECKS_FLIP:
        with world.lock:
            _flip(world, fault)
    elif act is not None:
        with world.lock:
            act(world, fault)
        fault.chances = fault.hits = 1


def _repo(world: World, fault: Fault) -> Repo:
    if fault.repo is None:
        raise KeyError("match.repo is missing")
    return world.repo(fault.repo)


def _pull(world: World, fault: Fault) -> Pull:
    if fault.pr is None:
        raise KeyError("match.pr is missing")
    return world.pull(_repo(world, fault).full_name, fault.pr)


def _branch(world: World, fault: Fault) -> str:
    return str(fault.args.get("branch") or _repo(world, fault).default_branch)


def _by(fault: Fault) -> str:
    return str(fault.args.get("by", "ana"))


def _push_direct(world: World, fault: Fault) -> None:
    """Somebody pushes to a base, past its protection (Q47)."""
    files = fault.args.get("files") or {"direct.txt": "pushed by hand\n"}
    world.push(_repo(world, fault), _branch(world, fault), files, author=_by(fault))


def _delete_branch(world: World, fault: Fault) -> None:
    """A branch goes away, and pull requests into it close (``api``) or move on (``merge``) (Q42)."""
    on_merge = fault.args.get("via", "api") == "merge"
    world.drop_branch(_repo(world, fault), str(fault.args["branch"]), by=_by(fault), on_merge=on_merge)


def _force_push(world: World, fault: Fault) -> None:
    """The head is rewritten onto the base (Q44)."""
    pull = _pull(world, fault)
    files = fault.args.get("files") or {"rewritten.txt": "again\n"}
    world.push_to_pull(pull, files, force_onto=pull.base_sha)


def _delete_fork(world: World, fault: Fault) -> None:
    """The fork a pull request comes from is deleted; its head stays here (Q24)."""
    pull = _pull(world, fault)
    if not pull.is_cross_repository:
        raise KeyError(f"{pull.repo}#{pull.number} comes from no fork")
    world.delete_repo(pull.head_repo)


def _rename(world: World, fault: Fault) -> None:
    """A repository gets another name (Q27)."""
    repo = _repo(world, fault)
    world.rename_repo(repo, f"{repo.owner}/{fault.args.get('to', repo.name + '-renamed')}")


def _transfer(world: World, fault: Fault) -> None:
    """A repository gets another owner (Q28)."""
    repo = _repo(world, fault)
    world.rename_repo(repo, f"{fault.args.get('to', 'elsewhere')}/{repo.name}")


def _rename_branch(world: World, fault: Fault) -> None:
    """The default branch, or another, gets another name (Q29)."""
    repo = _repo(world, fault)
    old = fault.args.get("from", repo.default_branch)
    world.rename_branch(repo, old, fault.args.get("to", f"{old}-renamed"))


def _leave(world: World, fault: Fault) -> None:
    """The author of a pull request, or somebody else, leaves GitHub (Q32)."""
    moving.remove_account(world, str(fault.args.get("login") or _pull(world, fault).author))


def _suspend(world: World, fault: Fault) -> None:
    """Every App installed on a repository is suspended there (Q66)."""
    for installation in world.registry.installations():
        if installation.covers(_repo(world, fault)):
            installing.suspend(world, installation, BOT)


def _change_permissions(world: World, fault: Fault) -> None:
    """``permissions`` replaces what Apps hold on a repository; ``remove`` takes some of it away (Q66)."""
    for installation in world.registry.installations():
        if installation.covers(_repo(world, fault)):
            kept = dict(fault.args.get("permissions") or installation.permissions)
            for name in fault.args.get("remove", ()):
                kept.pop(name, None)
            installing.accept(world, installation, kept, BOT)


def _archive(world: World, fault: Fault) -> None:
    world.archive(_repo(world, fault), archived=bool(fault.args.get("archived", True)))


def _maintainers(world: World, fault: Fault) -> None:
    _pull(world, fault).maintainer_can_modify = bool(fault.args.get("value", False))


def _lock(world: World, fault: Fault) -> None:
    """Nobody may comment on the pull request any more; everything else goes on (Q31)."""
    _pull(world, fault).locked = True


def _supersede(world: World, fault: Fault) -> None:
    """A red run in a suite of its own, and a younger green one of the same name in another (Q35)."""
    pull, name = _pull(world, fault), str(fault.args.get("name", "e2e"))
    for conclusion in ("failure", "success"):
        checks.open_suite(world, _repo(world, fault), pull.head_sha, world.app("sandbox-ci"))
        world.set_check_run(pull.repo, pull.head_sha, name=name, conclusion=conclusion)


def _same_name(world: World, fault: Fault) -> None:
    """Two Apps report under one name, and one of them is red (Q36)."""
    pull, name = _pull(world, fault), str(fault.args.get("name", "e2e"))
    for app, conclusion in (("sandbox-ci", "success"), ("other-ci", "failure")):
        world.set_check_run(pull.repo, pull.head_sha, name=name, conclusion=conclusion, app=app)


def _flip(world: World, fault: Fault) -> None:
    """A re-run turns a green status red, ``at`` milliseconds from now, which is when it counts (Q39)."""
    pull, context = _pull(world, fault), str(fault.args.get("context", "ci/test"))

    def flip() -> None:
        world.set_status(pull.repo, pull.head_sha, context=context, state="failure")
        fault.hits += 1

    world.clock.call_later(fault.seconds("at"), world.activity.tracked(flip))


def _age(world: World, _fault: Fault) -> None:
    """The server is an Enterprise Server of long ago, which tells no limits (Q84)."""
    world.enterprise, world.lacks = "3.4.0", NOT_ON_OLD_SERVERS


def _auto_merge(world: World, fault: Fault) -> None:
    """Somebody asks GitHub to merge as soon as it can (Q46)."""
    method = Method(fault.args.get("method", "merge"))
    merging.enable_auto_merge(world, _pull(world, fault), method, by=_by(fault), title=None, message=None)


def _with(change: Callable[[Protection, Mapping[str, Any]], Protection]) -> Act:
    """Add a demand to the classic protection of a branch, for administrators too."""

    def act(world: World, fault: Fault) -> None:
        repo, branch = _repo(world, fault), _branch(world, fault)
        before = repo.protections.get(branch) or Protection(world.next_id(), enforce_admins=True)
        repo.protections[branch] = change(before, fault.args)

    return act


def _reviews(rule: Protection, **changes: Any) -> Protection:
    return replace(rule, reviews=replace(rule.reviews or ReviewRule(), **changes))


def _only(args: Mapping[str, Any]) -> Restrictions:
    return Restrictions(*(tuple(args.get(kind, ())) for kind in ("users", "teams", "apps")))


def _rule_all(world: World, fault: Fault) -> None:
    """A ruleset on every branch, staging refs included, that asks for contexts (Q52)."""
    contexts = [{"context": context} for context in fault.args.get("contexts", ("ci/test",))]
    parameters = {"required_status_checks": contexts, "strict_required_status_checks_policy": False}
    rule = {"type": "required_status_checks", "parameters": parameters}
    world.add_ruleset(
        _repo(world, fault).full_name,
        "everywhere",
        rules=[rule],
        include=["~ALL"],
        exclude=fault.args.get("exclude", ()),
    )


_ACTS: Mapping[FaultId, Act] = {
    FaultId.PUSH_DIRECT: _push_direct,
    FaultId.BRANCH_DELETE: _delete_branch,
    FaultId.BRANCH_ENABLE_MQ: _with(lambda rule, _: replace(rule, queue=True)),
    FaultId.PR_CLOSE: lambda world, fault: world.close_pull(_pull(world, fault), _by(fault)),
    FaultId.PR_REOPEN: lambda world, fault: world.reopen_pull(_pull(world, fault), _by(fault)),
    FaultId.PR_DRAFT: lambda world, fault: world.set_draft(_pull(world, fault), bool(fault.args.get("draft", True))),
    FaultId.PR_RETARGET: lambda world, fault: world.retarget(_pull(world, fault), fault.args["base"], _by(fault)),
    FaultId.PR_FORCE_PUSH: _force_push,
    FaultId.PR_DELETE_HEAD_REPO: _delete_fork,
    FaultId.PR_MAINTAINER_CAN_MODIFY: _maintainers,
    FaultId.REPO_ARCHIVE: _archive,
    FaultId.REPO_DELETE: lambda world, fault: world.delete_repo(_repo(world, fault)),
    FaultId.REPO_RENAME: _rename,
    FaultId.REPO_TRANSFER: _transfer,
    FaultId.BRANCH_RENAME: _rename_branch,
    FaultId.PR_GHOST: _leave,
    FaultId.PR_LOCK: _lock,
    FaultId.PROFILE_GHES: _age,
    FaultId.PR_AUTO_MERGE: _auto_merge,
    FaultId.CHECKS_SUPERSEDED: _supersede,
    FaultId.CHECKS_SAME_NAME: _same_name,
    FaultId.AUTH_SUSPEND: _suspend,
    FaultId.AUTH_PERMS: _change_permissions,
    FaultId.POLICY_SIGNATURES: _with(lambda rule, _: replace(rule, signatures=True)),
    FaultId.POLICY_LINEAR: _with(lambda rule, _: replace(rule, linear_history=True)),
    FaultId.POLICY_RESTRICT: _with(lambda rule, args: replace(rule, restrictions=_only(args))),
    FaultId.POLICY_DISMISS_STALE: _with(lambda rule, _: _reviews(rule, dismiss_stale=True)),
    FaultId.POLICY_LAST_PUSH: _with(lambda rule, _: _reviews(rule, last_push_approval=True)),
    FaultId.RULESET_ALL: _rule_all,
    FaultId.PROTECTION_DISABLE: lambda world, fault: protecting.disable_all(world, _repo(world, fault), _by(fault)),
}
