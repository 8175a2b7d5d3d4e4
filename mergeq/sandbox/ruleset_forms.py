"""Reading a ruleset as somebody writes it for the REST API, and refusing what GitHub would not keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.records import Method, Repo
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError
from mergeq.sandbox.ruleset_shapes import ruleset_shape
from mergeq.sandbox.rulesets import ALL, DEFAULT_BRANCH, OF_PUSHES, BypassActor, BypassMode, Enforcement, Rule, Ruleset

if TYPE_CHECKING:
    from mergeq.sandbox.state import WorldState

KEYS = ("name", "target", "enforcement", "bypass_actors", "conditions", "rules")
ROLES = {2: "maintain", 4: "write", 5: "admin"}
"""The numbers GitHub gives the roles that may bypass."""
TARGETS = ("branch", "tag", "push")
_OPERATORS = ("starts_with", "ends_with", "contains", "regex")
_REPO_CONDITIONS = ("repository_name", "repository_id", "repository_property")

Check = Callable[[Any], bool]
Fields = Mapping[str, Check]


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _one_of(allowed: Iterable[str]) -> Check:
    listed = tuple(allowed)
    return lambda value: value in listed


def _are_methods(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and set(value) <= set(Method)


def _are_checks(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(check, dict)
        and isinstance(check.get("context"), str)
        and check.keys() <= {"context", "integration_id"}
        and isinstance(check.get("integration_id"), int | None)
        for check in value
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are(fields: Fields, *, spare: Iterable[str] = ()) -> Check:
    """Objects that have just these fields, of which some may be left out or null."""
    optional = set(spare)

    def fits(value: Any) -> bool:
        given = {name: part for name, part in value.items() if part is not None or name not in optional}
        known = all(name in fields and fields[name](part) for name, part in given.items())
        return known and fields.keys() - optional <= given.keys()

    return lambda value: isinstance(value, list) and all(isinstance(one, dict) and fits(one) for one in value)


_PATTERN: tuple[Fields, Mapping[str, Any]] = (
    {"operator": _one_of(_OPERATORS), "pattern": _is_text, "name": _is_text, "negate": _is_bool},
    {"negate": False, "name": ""},
)
_SPARE = _whole(0, 100)
PARAMETERS: Mapping[str, tuple[Fields, Mapping[str, Any]]] = {
    "creation": ({}, {}),
    "deletion": ({}, {}),
    "non_fast_forward": ({}, {}),
    "required_linear_history": ({}, {}),
    "required_signatures": ({}, {}),
    "update": ({"update_allows_fetch_and_merge": _is_bool}, {"update_allows_fetch_and_merge": False}),
    "pull_request": (
        {
            "required_approving_review_count": _whole(0, 10),
            "dismiss_stale_reviews_on_push": _is_bool,
            "require_code_owner_review": _is_bool,
            "require_last_push_approval": _is_bool,
            "required_review_thread_resolution": _is_bool,
            "allowed_merge_methods": _are_methods,
        },
        {"allowed_merge_methods": list(Method)},
    ),
    "required_status_checks": (
        {
            "required_status_checks": _are_checks,
            "strict_required_status_checks_policy": _is_bool,
            "do_not_enforce_on_create": _is_bool,
        },
        {"do_not_enforce_on_create": False},
    ),
    "merge_queue": (
        {
            "check_response_timeout_minutes": _whole(1, 360),
            "grouping_strategy": _one_of(("ALLGREEN", "HEADGREEN")),
            "max_entries_to_build": _SPARE,
            "max_entries_to_merge": _SPARE,
            "merge_method": _one_of(method.upper() for method in Method),
            "min_entries_to_merge": _SPARE,
            "min_entries_to_merge_wait_minutes": _whole(0, 360),
        },
        {},
    ),
    "required_deployments": ({"required_deployment_environments": _are_texts}, {}),
    "workflows": (
        {
            "workflows": _are(
                {"path": _is_text, "repository_id": _whole(1, 2**63), "ref": _is_text, "sha": _is_text},
                spare=("ref", "sha"),
            ),
            "do_not_enforce_on_create": _is_bool,
        },
        {"do_not_enforce_on_create": False},
    ),
    "code_scanning": (
        {
            "code_scanning_tools": _are(
                {
                    "tool": _is_text,
                    "alerts_threshold": _one_of(("none", "errors", "errors_and_warnings", "all")),
                    "security_alerts_threshold": _one_of(
                        ("none", "critical", "high_or_higher", "medium_or_higher", "all")
                    ),
                }
            )
        },
        {},
    ),
    "copilot_code_review": (
        {"review_draft_pull_requests": _is_bool, "review_on_push": _is_bool},
        {"review_draft_pull_requests": False, "review_on_push": False},
    ),
    "license_compliance_scanning": ({}, {}),
    "file_path_restriction": ({"restricted_file_paths": _are_texts}, {}),
    "file_extension_restriction": ({"restricted_file_extensions": _are_texts}, {}),
    "max_file_path_length": ({"max_file_path_length": _whole(1, 32_767)}, {}),
    "max_file_size": ({"max_file_size": _whole(1, 100)}, {}),
    **dict.fromkeys(
        (
            "branch_name_pattern",
            "commit_author_email_pattern",
            "commit_message_pattern",
            "committer_email_pattern",
            "tag_name_pattern",
        ),
        _PATTERN,
    ),
}
"""Per rule: how each parameter must be, and those that may be left out, as what they count."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where rulesets of one source (``ORG/REPO`` or ``ORG``) are kept; those of an organization tell no webhooks."""

    source: str
    rulesets: dict[int, Ruleset]
    repo: Repo | None

    @classmethod
    def of_repo(cls, repo: Repo) -> Shelf:
        return cls(repo.full_name, repo.rulesets, repo)

    @classmethod
    def of_owner(cls, repo: Repo) -> Shelf:
        """That of the organization a repository belongs to."""
        return cls(repo.owner, repo.owner_rulesets, None)


def save(world: WorldState, shelf: Shelf, sent: Any, before: Ruleset | None, by: str) -> Ruleset:
    """Keep what is sent under a name of its own, and tell; raises RefusedError 400 or 422."""
    if not isinstance(sent, dict):
        raise RefusedError(400, "Body should be a JSON object")
    ruleset = read_ruleset(world, shelf.source, sent, before)
    if before and world.faults.fires(FaultId.RULESET_KEEPS_BYPASS, shelf.source):
        ruleset = replace(ruleset, bypass=tuple(dict.fromkeys((*before.bypass, *ruleset.bypass))))
    if any(other.name == ruleset.name and other.id != ruleset.id for other in shelf.rulesets.values()):
        raise RefusedError(422, "Validation Failed", ["Name must be unique"])
    shelf.rulesets[ruleset.id] = ruleset
    _announce(world, shelf, "created" if before is None else "edited", ruleset, by)
    return ruleset


def drop(world: WorldState, shelf: Shelf, ruleset: Ruleset, by: str) -> None:
    """Take a ruleset away, and tell."""
    del shelf.rulesets[ruleset.id]
    _announce(world, shelf, "deleted", ruleset, by)


def _announce(world: WorldState, shelf: Shelf, action: str, ruleset: Ruleset, by: str) -> None:
    if shelf.repo is None:
        return
    verb = {"created": "create", "edited": "update", "deleted": "destroy"}[action]
    world.note_act(shelf.repo, by, f"repository_ruleset.{verb}", ruleset.name, ruleset.id)
    if world.webhooks.wanted("repository_ruleset", shelf.source):
        shape = ruleset_shape(world.shapes(), ruleset, None, by)
        world.emit("repository_ruleset", shelf.repo, {"action": action, "repository_ruleset": shape}, by=by)


def read_ruleset(world: WorldState, source: str, sent: Mapping[str, Any], before: Ruleset | None = None) -> Ruleset:
    """What is sent, on top of what was; raises RefusedError 422 for what cannot be.

    ``source`` is ``ORG/REPO`` or ``ORG``. What only answers contain (``source``, ``_links``, …) is not taken back.
    """
    unknown = sorted(sent.keys() - set(KEYS))
    if unknown:
        raise RefusedError(422, f'Invalid request.\n\n"{unknown[0]}" is not a permitted key.')
    missing = [f'"{name}"' for name in ("name", "enforcement") if before is None and name not in sent]
    if missing:
        raise RefusedError(422, f"Invalid request.\n\n{', '.join(missing)} wasn't supplied.")
    now = world.now()
    ruleset = before or Ruleset(world.next_id(), "", source, "branch", Enforcement.ACTIVE, {}, (), created_at=now)
    changes: dict[str, Any] = {"updated_at": now}
    if "name" in sent:
        changes["name"] = sent["name"]
    if "target" in sent:
        changes["target"] = _known(sent["target"], TARGETS, "/target")
    target = changes.get("target", ruleset.target)
    if "enforcement" in sent:
        changes["enforcement"] = Enforcement(_known(sent["enforcement"], tuple(Enforcement), "/enforcement"))
    if "rules" in sent:
        changes["rules"] = tuple(_rule(world, place, rule) for place, rule in enumerate(sent["rules"]))
    if "bypass_actors" in sent:
        changes["bypass"] = tuple(_bypass_actor(world, source, actor) for actor in sent["bypass_actors"])
    if "conditions" in sent or before is None:
        changes["conditions"] = _conditions(source, sent.get("conditions") or {}, target)
    changed = replace(ruleset, **changes)
    _refuse_strangers(changed)
    _refuse_queue(world, changed)
    return changed


def _known(value: Any, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise no_input(where)
    return str(value)


def no_input(where: str) -> RefusedError:
    """What GitHub says of whatever does not fit its schema."""
    said = f"Invalid property {where}: data matches no possible input. See `documentation_url`."
    return RefusedError(422, f"Invalid request.\n\n{said}")


def _bad_rule(kind: str) -> RefusedError:
    """GitHub names the rule and leaves the reason out."""
    return RefusedError(422, "Validation Failed", [f"Invalid rule '{kind}': "])


def _rule(world: WorldState, place: int, sent: Mapping[str, Any]) -> Rule:
    kind, given = sent.get("type"), dict(sent.get("parameters") or {})
    if kind not in PARAMETERS:
        raise no_input(f"/rules/{place}")
    known, spare = PARAMETERS[str(kind)]
    fitting = all(name in known and known[name](value) for name, value in given.items())
    if not fitting or known.keys() - given.keys() - spare.keys():
        raise no_input(f"/rules/{place}")
    apps = {app.id for app in world.apps()}
    for check in given.get("required_status_checks", ()):
        if check.get("integration_id") is not None and check["integration_id"] not in apps:
            raise _bad_rule(str(kind))
    if any(world.repo_by_id(workflow["repository_id"]) is None for workflow in given.get("workflows", ())):
        raise _bad_rule(str(kind))
    if given.get("operator") == "regex" and not _compiles(given["pattern"]):
        raise _bad_rule(str(kind))
    return Rule(str(kind), {**spare, **given} if known else None)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _conditions(source: str, sent: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    """The refs, and for an organization the repositories, that a ruleset is about; pushes are to any ref."""
    names = sent.get("ref_name") or {}
    if target == "push" and names:
        raise no_input("/conditions")
    prefix = "refs/tags/" if target == "tag" else "refs/heads/"
    for glob in (*(names.get("include") or ()), *(names.get("exclude") or ())):
        if glob not in (ALL, DEFAULT_BRANCH) and not glob.startswith(prefix):
            raise RefusedError(422, "Validation Failed", [f"Invalid target patterns: '{glob}'"])
    repos = {name: sent[name] for name in _REPO_CONDITIONS if name in sent}
    if ("/" in source and repos) or ("/" not in source and len(repos) != 1):
        raise no_input("/conditions")
    if target == "push":
        return repos
    ref_name = {"include": list(names.get("include") or ()), "exclude": list(names.get("exclude") or ())}
    return {"ref_name": ref_name, **repos}


def _refuse_strangers(ruleset: Ruleset) -> None:
    """Rules about pushed files stand in rulesets about pushes, and no others do; GitHub's words for it are guessed."""
    stranger = next((r.type for r in ruleset.rules if (r.type in OF_PUSHES) is not (ruleset.target == "push")), None)
    if stranger is not None:
        raise _bad_rule(stranger)


def _refuse_queue(world: WorldState, ruleset: Ruleset) -> None:
    """The native queue is for organizations, and for branches that are named in full."""
    if not any(rule.type == "merge_queue" for rule in ruleset.rules):
        return
    repo = world.find_repo(ruleset.source)
    named = ruleset.conditions["ref_name"]["include"]
    if repo is None or repo.owner_is_user or any(re.search(r"[*?\[]|~ALL", glob) for glob in named):
        raise _bad_rule("merge_queue")


def _bypass_actor(world: WorldState, source: str, sent: Mapping[str, Any]) -> BypassActor:
    kind, number = str(sent.get("actor_type")), sent.get("actor_id")
    mode = BypassMode(_known(sent.get("bypass_mode", "always"), tuple(BypassMode), "/bypass_actors"))
    people, owner = world.users, source.partition("/")[0]
    match kind:
        case "OrganizationAdmin" | "DeployKey":
            return BypassActor(kind, number, mode, kind)
        case "RepositoryRole":
            who = ROLES.get(number) if isinstance(number, int) else None
        case "Team":
            who = next((slug for slug in people.teams if people.team_id(owner, slug) == number), None)
        case "Integration":
            who = next((f"{app.slug}[bot]" for app in world.apps() if app.id == number), None)
        case "User":
            who = people.login_by_id(number) if isinstance(number, int) else None
        case _:
            raise NotSimulatedError(f"bypass actor {kind} of a ruleset")
    if who is None:
        words = f"Actor {kind} must be part of the ruleset source or owner organization"
        raise RefusedError(422, "Validation Failed", [words])
    return BypassActor(kind, number, mode, who)
