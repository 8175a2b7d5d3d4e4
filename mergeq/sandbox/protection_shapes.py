"""The JSON GitHub's REST API shows for branches and their classic protection."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from mergeq.sandbox.clock import iso
from mergeq.sandbox.demands import is_protected
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Protection, Repo, Restrictions, ReviewRule, StatusRule
from mergeq.sandbox.shapes import Json, Shapes

if TYPE_CHECKING:
    from mergeq.sandbox.state import WorldState


def branch_shape(shapes: Shapes, repo: Repo, name: str, sha: str) -> Json:
    """A branch; what classic protection requires of contexts is shown to everybody, the rest is not.

    A ruleset alone makes it ``protected``, though nothing here then tells what it asks (P6.67).
    """
    url = _branch_url(shapes, repo, name)
    rule = repo.protection_of(name)
    checks = rule.checks if rule else ()
    return {
        "name": name,
        "commit": shapes.commit(repo, repo.git.commit(sha)),
        "_links": {"self": url, "html": f"{shapes.web}/{repo.full_name}/tree/{quote(name)}"},
        "protected": is_protected(repo, name),
        "protection": {
            "enabled": rule is not None,
            "required_status_checks": {
                "enforcement_level": _level(rule),
                "contexts": [check.context for check in checks],
                "checks": [{"context": check.context, "app_id": check.app_id} for check in checks],
            },
        },
        "protection_url": f"{url}/protection",
    }


def _branch_url(shapes: Shapes, repo: Repo, name: str) -> str:
    return f"{shapes.repo_api(repo)}/branches/{quote(name)}"


def _level(rule: Protection | None) -> str:
    if rule is None or rule.status is None:
        return "off"
    return "everyone" if rule.enforce_admins else "non_admins"


def protection_shape(shapes: Shapes, repo: Repo, branch: str, rule: Protection) -> Json:
    """Protection as administrators see it: what is not demanded is left out, not null."""
    shape: Json = {
        "url": protection_url(shapes, repo, branch),
        "enforce_admins": admins_shape(shapes, repo, branch, rule),
        "required_signatures": signatures_shape(shapes, repo, branch, rule),
        "required_linear_history": {"enabled": rule.linear_history},
        "allow_force_pushes": {"enabled": rule.force_pushes},
        "allow_deletions": {"enabled": rule.deletions},
        "block_creations": {"enabled": rule.block_creations},
        "required_conversation_resolution": {"enabled": rule.conversation_resolution},
        "lock_branch": {"enabled": rule.lock_branch},
        "allow_fork_syncing": {"enabled": rule.fork_syncing},
    }
    if rule.status is not None:
        shape["required_status_checks"] = status_shape(shapes, repo, branch, rule.status)
    if rule.reviews is not None:
        shape["required_pull_request_reviews"] = reviews_shape(shapes, repo, branch, rule.reviews)
    if rule.restrictions is not None:
        shape["restrictions"] = restrictions_shape(shapes, repo, branch, rule.restrictions)
    return shape


def rule_shape(world: WorldState, repo: Repo, pattern: str, rule: Protection) -> Json:
    """A rule as events tell of it; what it asks of whom in three levels."""
    asked = "everyone" if rule.enforce_admins else "non_admins"

    def level(is_on: bool) -> str:
        return asked if is_on else "off"

    reviews, named = rule.reviews, rule.restrictions
    return {
        "id": rule.id,
        "repository_id": repo.id,
        "name": pattern,
        "created_at": iso(world.now()),
        "updated_at": iso(world.now()),
        "admin_enforced": rule.enforce_admins,
        "allow_deletions_enforcement_level": "everyone" if rule.deletions else "off",
        "allow_force_pushes_enforcement_level": "everyone" if rule.force_pushes else "off",
        "authorized_actor_names": [*named.users, *named.teams, *named.apps] if named else [],
        "authorized_actors_only": named is not None,
        "authorized_dismissal_actors_only": bool(reviews and reviews.dismissers is not None),
        "create_protected": rule.block_creations,
        "dismiss_stale_reviews_on_push": bool(reviews and reviews.dismiss_stale),
        "ignore_approvals_from_contributors": False,
        "linear_history_requirement_enforcement_level": level(rule.linear_history),
        "lock_allows_fork_sync": rule.fork_syncing,
        "lock_branch_enforcement_level": level(rule.lock_branch),
        "merge_queue_enforcement_level": level(rule.queue),
        "pull_request_reviews_enforcement_level": level(reviews is not None),
        "require_code_owner_review": bool(reviews and reviews.code_owners),
        "require_last_push_approval": bool(reviews and reviews.last_push_approval),
        "required_approving_review_count": reviews.count if reviews else 0,
        "required_conversation_resolution_level": level(rule.conversation_resolution),
        "required_deployments_enforcement_level": level(rule.environments is not None),
        "required_status_checks": [check.context for check in rule.checks],
        "required_status_checks_enforcement_level": level(rule.status is not None),
        "signature_requirement_enforcement_level": level(rule.signatures),
        "strict_required_status_checks_policy": bool(rule.status and rule.status.strict),
    }


def protection_url(shapes: Shapes, repo: Repo, branch: str, section: str = "") -> str:
    """Where a section of a branch's protection is read and written."""
    return f"{_branch_url(shapes, repo, branch)}/protection{section}"


def admins_shape(shapes: Shapes, repo: Repo, branch: str, rule: Protection) -> Json:
    """Whether administrators are bound too."""
    return {"url": protection_url(shapes, repo, branch, "/enforce_admins"), "enabled": rule.enforce_admins}


def signatures_shape(shapes: Shapes, repo: Repo, branch: str, rule: Protection) -> Json:
    """Whether commits must be signed."""
    return {"url": protection_url(shapes, repo, branch, "/required_signatures"), "enabled": rule.signatures}


def status_shape(shapes: Shapes, repo: Repo, branch: str, rule: StatusRule) -> Json:
    """The required contexts."""
    url = protection_url(shapes, repo, branch, "/required_status_checks")
    return {
        "url": url,
        "strict": rule.strict,
        "contexts": [check.context for check in rule.checks],
        "contexts_url": f"{url}/contexts",
        "checks": [{"context": check.context, "app_id": check.app_id} for check in rule.checks],
    }


def reviews_shape(shapes: Shapes, repo: Repo, branch: str, rule: ReviewRule) -> Json:
    """The required reviews; whom they except is left out where it is nobody."""
    shape: Json = {
        "url": protection_url(shapes, repo, branch, "/required_pull_request_reviews"),
        "dismiss_stale_reviews": rule.dismiss_stale,
        "require_code_owner_reviews": rule.code_owners,
        "require_last_push_approval": rule.last_push_approval,
        "required_approving_review_count": rule.count,
    }
    if rule.dismissers is not None:
        url = protection_url(shapes, repo, branch, "/dismissal_restrictions")
        links = {"url": url, "users_url": f"{url}/users", "teams_url": f"{url}/teams"}
        shape["dismissal_restrictions"] = links | named_shape(shapes, repo, rule.dismissers)
    if rule.bypass:
        shape["bypass_pull_request_allowances"] = named_shape(shapes, repo, rule.bypass)
    return shape


def restrictions_shape(shapes: Shapes, repo: Repo, branch: str, allowed: Restrictions) -> Json:
    """Who may push."""
    url = protection_url(shapes, repo, branch, "/restrictions")
    links = {name: f"{url}{tail}" for name, tail in _RESTRICTION_LINKS.items()}
    return links | named_shape(shapes, repo, allowed)


_RESTRICTION_LINKS = {"url": "", "users_url": "/users", "teams_url": "/teams", "apps_url": "/apps"}


def named_shape(shapes: Shapes, repo: Repo, named: Restrictions) -> Json:
    """Whom a rule names, each with everything GitHub shows of them."""
    return {
        "users": [shapes.user(login) for login in named.users],
        "teams": [team_shape(shapes, repo.owner, slug) for slug in named.teams],
        "apps": [shapes.app(shapes.world.app(slug)) for slug in named.apps],
    }


def team_shape(shapes: Shapes, owner: str, slug: str, permission: str = "push") -> Json:
    """A team of an organization as lists show it; `permission` is what it may do in the repository it is looked at
    from.
    """
    number = shapes.world.users.team_id(owner, slug)
    url = f"{shapes.api}/organizations/{shapes.world.users.id_of(owner)}/team/{number}"
    return {
        "id": number,
        "node_id": node_id("T", number),
        "name": slug,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": permission,
        "type": "organization",
        "organization_id": shapes.world.users.id_of(owner),
        "url": url,
        "html_url": f"{shapes.web}/orgs/{owner}/teams/{slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "parent": None,
    }
