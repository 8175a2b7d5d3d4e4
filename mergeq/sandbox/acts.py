"""Switches that are no faults: what people do meanwhile, done at once when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.records import Protection, Pull, Repo, Restrictions, ReviewRule

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

Act = Callable[["World", Fault], None]


def carry_out(world: World, fault: Fault) -> None:
    """Do what is switched on if it is an act, and count it; raises KeyError for a match that leads nowhere."""
    act = _ACTS.get(fault.id)
    if act is not None:
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


def _archive(world: World, fault: Fault) -> None:
    world.archive(_repo(world, fault), archived=bool(fault.args.get("archived", True)))


def _maintainers(world: World, fault: Fault) -> None:
    _pull(world, fault).maintainer_can_modify = bool(fault.args.get("value", False))


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
    FaultId.POLICY_SIGNATURES: _with(lambda rule, _: replace(rule, signatures=True)),
    FaultId.POLICY_LINEAR: _with(lambda rule, _: replace(rule, linear_history=True)),
    FaultId.POLICY_RESTRICT: _with(lambda rule, args: replace(rule, restrictions=_only(args))),
    FaultId.POLICY_DISMISS_STALE: _with(lambda rule, _: _reviews(rule, dismiss_stale=True)),
    FaultId.POLICY_LAST_PUSH: _with(lambda rule, _: _reviews(rule, last_push_approval=True)),
    FaultId.RULESET_ALL: _rule_all,
}
