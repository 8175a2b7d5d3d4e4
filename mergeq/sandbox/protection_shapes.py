"""The JSON GitHub's REST API shows for branches and their classic protection."""

from __future__ import annotations

from urllib.parse import quote

from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Protection, Repo, Restrictions
from mergeq.sandbox.shapes import Json, Shapes


def branch_shape(shapes: Shapes, repo: Repo, name: str, sha: str) -> Json:
    """A branch; what it requires is shown to everybody, the rest of its protection is not."""
    url = _branch_url(shapes, repo, name)
    rule = repo.protection_of(name)
    checks = rule.checks if rule else ()
    return {
        "name": name,
        "commit": shapes.commit(repo, repo.git.commit(sha)),
        "_links": {"self": url, "html": f"{shapes.web}/{repo.full_name}/tree/{quote(name)}"},
        "protected": rule is not None,
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
    url = f"{_branch_url(shapes, repo, branch)}/protection"
    shape: Json = {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": rule.enforce_admins},
        "required_signatures": signatures_shape(shapes, repo, branch, rule),
        "required_linear_history": {"enabled": rule.linear_history},
        "allow_force_pushes": {"enabled": rule.force_pushes},
        "allow_deletions": {"enabled": rule.deletions},
        "block_creations": {"enabled": False},
        "required_conversation_resolution": {"enabled": rule.conversation_resolution},
        "lock_branch": {"enabled": rule.lock_branch},
        "allow_fork_syncing": {"enabled": False},
    }
    if rule.status is not None:
        shape["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": rule.status.strict,
            "contexts": [check.context for check in rule.status.checks],
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": check.context, "app_id": check.app_id} for check in rule.status.checks],
        }
    if rule.reviews is not None:
        shape["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": rule.reviews.dismiss_stale,
            "require_code_owner_reviews": False,
            "require_last_push_approval": rule.reviews.last_push_approval,
            "required_approving_review_count": rule.reviews.count,
        }
    if rule.restrictions is not None:
        shape["restrictions"] = _restrictions_shape(shapes, repo, rule.restrictions, f"{url}/restrictions")
    return shape


def signatures_shape(shapes: Shapes, repo: Repo, branch: str, rule: Protection) -> Json:
    """Whether commits must be signed, which has a route of its own."""
    url = f"{_branch_url(shapes, repo, branch)}/protection/required_signatures"
    return {"url": url, "enabled": rule.signatures}


def _restrictions_shape(shapes: Shapes, repo: Repo, allowed: Restrictions, url: str) -> Json:
    return {
        "url": url,
        "users_url": f"{url}/users",
        "teams_url": f"{url}/teams",
        "apps_url": f"{url}/apps",
        "users": [shapes.user(login) for login in allowed.users],
        "teams": [_team_shape(shapes, repo, slug) for slug in allowed.teams],
        "apps": [shapes.app(shapes.world.app(slug)) for slug in allowed.apps],
    }


def _team_shape(shapes: Shapes, repo: Repo, slug: str) -> Json:
    number = shapes.world.users.id_of(f"@{repo.owner}/{slug}")
    url = f"{shapes.api}/organizations/{shapes.world.users.id_of(repo.owner)}/team/{number}"
    return {
        "id": number,
        "node_id": node_id("T", number),
        "name": slug,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "push",
        "type": "organization",
        "url": url,
        "html_url": f"{shapes.web}/orgs/{repo.owner}/teams/{slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "parent": None,
    }
