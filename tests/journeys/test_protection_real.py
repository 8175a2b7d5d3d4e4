"""Real `branch-protection:` sections on worlds made for them: what is then in force is what Prow itself would ask for,
whatever Prow does not know is as it was, and a second look has nothing to do.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mergeq import gathering, reconcile
from mergeq.config import Configuration
from mergeq.config.reading import compiled
from mergeq.core import branchprotector
from mergeq.core.audit import Result
from mergeq.core.branchprotector import Flags, SeenBranch, SeenRepo
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.protection_shapes import protection_shape
from mergeq.sandbox.records import Repo
from tests.conftest import Mergeq
from tests.shell.test_protect_cli import Desk

JSON = dict[str, Any]
REAL = Path(__file__).parents[3] / "shared" / "prow-configs"
KUBEVIRT = "kubevirt__project-infra/github__ci__prow-deploy__kustom__base__configs__current__config__config.yaml"
FILES = {
    "cert-manager": "cert-manager__testing/config__config.yaml",
    "cloudfoundry": "cloudfoundry__community/org__branchprotection.yml",
    "falcosecurity": "falcosecurity__test-infra/config__backup__aws__prow__config.yaml",
    "kubevirt": KUBEVIRT,
    "kubernetes": "kubernetes__test-infra/config__prow__config.yaml",
    "istio": "istio__test-infra/prow__gcp__config.yaml",
}
PARTS = {"falcosecurity": 6, "kubernetes": 6, "istio": 12}
"""Of these `make test` has every so manieth named branch only, and repository where the organization is meant whole."""
IN_TURN = [pytest.param(whose, marks=pytest.mark.soak if whose == "kubevirt" else ()) for whose in FILES]
OURS = "mergeq: {protection: {mode: enforce, gate: {max_repos_changed: 999, max_weakening: 999, max_removals: 999}}}\n"
UNNAMED = ("feature/#1", "main", "release-9.9")
"""Branches that every repository has; some sections take them by a pattern."""
UNKNOWN_TO_PROW = ("required_signatures", "required_conversation_resolution", "lock_branch", "block_creations")


class World:
    """A GitHub that has what a section names, and in each organization a repository that it does not."""

    def __init__(self, github: Sandbox, config: Configuration, step: int = 1) -> None:
        self._world, self.levels = github.world, config.protection.levels
        self._source = github.world.create_repo("quarry/part", files={"README.md": "# A part\n"}, ci=None)
        self.orgs = config.protected()
        named: dict[str, list[str]] = {}
        for key in self.levels:
            if "/" in key:
                repo, _, branch = key.partition(":")
                named.setdefault(repo, []).extend([branch] if branch else ())
        listed = [repo for repo in named if self.orgs[repo.partition("/")[0]] is None]
        self.repos = (*(named.keys() - {*listed} | {*listed[::step]}), *(f"{org}/unnamed" for org in self.orgs))
        for number, repo in enumerate(sorted(self.repos)):
            self._make(repo, {*named.get(repo, ())[::step], *UNNAMED}, has_rules=number % 3 == 0)
        for key, policy in self.levels.items():
            for org in self.orgs if key == "*" else (key.partition("/")[0],):
                for kind, name in _named(policy):
                    self._let_there_be(org, kind, name)

    def _make(self, full_name: str, names: set[str], *, has_rules: bool) -> None:
        made = self._world.copy_repo(self._source, full_name)
        tip = made.git.tip("main")
        lines = "".join(f"create refs/heads/{name} {tip}\n" for name in names - {"main"})
        made.git.git("update-ref", "--stdin", stdin=lines.encode())
        made.git.reload()
        for name in sorted(names)[::2] if has_rules else ():
            self._world.protect(
                made,
                name,
                ["ci/gone"],
                2,
                enforce_admins=False,
                require_last_push_approval=True,
                required_conversation_resolution=True,
                required_signatures=True,
            )

    def _let_there_be(self, org: str, kind: str, name: str) -> None:
        if kind == "teams":
            self._world.users.join_team(f"{org}/{name}", "ana")
        elif name.endswith("[bot]"):
            app = self._world.register_app(name.removesuffix("[bot]"), org, permissions={"contents": "write"})
            self._world.install_app(app, org)
        else:
            self._world.users.id_of(name)

    def _branches(self) -> Iterator[tuple[Repo, str]]:
        for full_name in self.repos:
            repo = self._world.repo(full_name)
            for name in repo.git.branches():
                yield repo, name

    def protection(self) -> dict[str, JSON | None]:
        """What REST tells of the protection of each branch, ORG/REPO=BRANCH; None for none."""
        shapes = self._world.shapes()
        return {
            f"{repo.full_name}={name}": protection_shape(shapes, repo, name, rule) if rule else None
            for repo, name in self._branches()
            for rule in (repo.protection_of(name),)
        }


def _named(policy: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Whom a level names, as ``users`` or as ``teams``."""
    for key, value in policy.items():
        if isinstance(value, dict):
            yield from _named(value)
        elif key in {"users", "teams"}:
            yield from ((key, name) for name in value)


def prow(config: Configuration, there: Mapping[str, JSON | None]) -> branchprotector.Run:
    """What Prow would do to this GitHub."""
    orgs: dict[str, dict[str, list[SeenBranch]]] = {}
    for label, state in there.items():
        full_name, _, name = label.partition("=")
        org, _, repo = full_name.partition("/")
        orgs.setdefault(org, {}).setdefault(repo, []).append(SeenBranch(name, state is not None, state))
    seen = {org: [SeenRepo(repo, tuple(names)) for repo, names in repos.items()] for org, repos in orgs.items()}
    return branchprotector.run(config.protection, seen, {}, Flags(), compiled)


def as_sent(state: JSON | None) -> JSON | None:
    """What REST tells of protection, as the body with which Prow would ask for it."""
    if state is None:
        return None
    checks, reviews = state.get("required_status_checks"), state.get("required_pull_request_reviews")
    return {
        "required_status_checks": checks and {"strict": checks["strict"], "contexts": sorted(checks["contexts"])},
        "enforce_admins": state["enforce_admins"]["enabled"],
        "required_pull_request_reviews": reviews
        and {
            **{key: reviews[key] for key in ("dismiss_stale_reviews", "require_code_owner_reviews")},
            "required_approving_review_count": reviews["required_approving_review_count"],
            **{key: _listed(reviews.get(key)) for key in ("dismissal_restrictions", "bypass_pull_request_allowances")},
        },
        "restrictions": _listed(state.get("restrictions")) or None,
        **{key: state[key]["enabled"] for key in ("required_linear_history", "allow_force_pushes", "allow_deletions")},
    }


def _listed(told: JSON | None) -> JSON:
    """The people of a list as they are asked for: Apps by their logins."""
    if told is None:
        return {}
    logins = {one["login"] for one in told["users"]} | {f"{one['slug']}[bot]" for one in told["apps"]}
    return {"users": sorted(logins), "teams": sorted(one["slug"] for one in told["teams"])}


def left_alone(before: JSON, after: JSON) -> bool:
    """Whether everything that Prow does not know is as it was, as far as what it belongs to is still demanded."""
    reviews = [state.get("required_pull_request_reviews") for state in (before, after)]
    pushes = [one["require_last_push_approval"] for one in reviews if one]
    return all(before[key] == after[key] for key in UNKNOWN_TO_PROW) and (None in reviews or pushes[0] == pushes[1])


def settings(whose: str) -> Path:
    file = REAL / FILES[whose]
    if not file.is_file():
        pytest.skip("the configurations of other projects are not beside this checkout")
    return file


def comes_into_force(at: Desk, world: World) -> None:
    """Put a section into force, and hold what there is then to what Prow would have made of what there was."""
    config, before = at.mergeq.services.config, world.protection()
    wanted = prow(config, before)
    assert wanted.errors == ()
    bodies = {f"{one.branch.full_repo}={one.branch.name}": one.body for one in wanted.writes}
    assert f": {len(bodies)} changes in " in at.says("plan", code=2)
    started = Counter(at.github.hits)

    report = reconcile.reconcile(at.mergeq.services, gathering.ALL)

    asked, after = Counter(at.github.hits) - started, world.protection()
    assert {(row.result, row.problem) for row in report.rows} == {(Result.APPLIED, "")}
    assert {label: as_sent(state) for label, state in after.items()} == {
        label: bodies.get(label, as_sent(state)) for label, state in before.items()
    }
    kept = [(state, now) for label, state in before.items() if state and (now := after[label])]
    assert all(left_alone(*both) for both in kept)
    assert sum(asked[f"graphql:{name}"] for name in ("Protect", "ChangeRule", "LiftRule")) == len(bodies)
    assert asked["graphql:Protection"] <= len(bodies) + 2 * len(world.repos), "one look at each repository and change"

    started = Counter(at.github.hits)
    assert at.says("plan").startswith("nothing to do: ")
    assert reconcile.reconcile(at.mergeq.services, gathering.ALL).rows == ()
    asked = Counter(at.github.hits) - started
    rules = sum(state is not None for state in after.values())
    assert not {*asked} - {"graphql:Repositories", "graphql:Protection", "graphql:MoreRules"}, "nothing is written"
    assert asked.total() <= 2 * (2 * len(world.orgs) + len(world.repos) / 5 + rules / 20), "two looks"
    assert world.protection() == after


@pytest.fixture
def desk(
    github: Sandbox, clock: ManualClock, start_mergeq: Callable[..., Mergeq], tmp_path: Path
) -> Callable[[str], Desk]:
    """mergeq that is to enforce somebody's section."""

    def start(whose: str) -> Desk:
        ours = tmp_path / "ours.yaml"
        ours.write_text(OURS)
        return Desk(start_mergeq(config_paths=(settings(whose), ours)), github, clock)

    return start


@pytest.mark.journey
@pytest.mark.parametrize("whose", IN_TURN)
def test_a_real_section_comes_into_force_as_prow_would_have_it(desk: Callable[[str], Desk], whose: str) -> None:
    """P6.28."""
    at = desk(whose)

    comes_into_force(at, World(at.github, at.mergeq.services.config, PARTS.get(whose, 1)))


@pytest.mark.soak
@pytest.mark.parametrize("whose", PARTS)
def test_the_whole_of_a_large_section_comes_into_force(desk: Callable[[str], Desk], whose: str) -> None:
    at = desk(whose)

    comes_into_force(at, World(at.github, at.mergeq.services.config))
