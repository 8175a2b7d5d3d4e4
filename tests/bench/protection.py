"""What looking at the protection of an organization asks of GitHub, as that counts it, where nothing is to change."""

from collections import Counter

from mergeq.core.budget import BudgetValues
from mergeq.core.protection import RepoFacts
from mergeq.github import Meter, Pat, Protecting, Wire
from mergeq.github.budget import Alone
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Restrictions
from tests.bench.frame import Bench, Measured, tell
from tests.bench.virtual import Cost, github_and_clock

_BRANCHES = tuple(f"release-{number}" for number in range(9))


def protection_points(share: float) -> Measured:
    """All repositories of an organization and all rules of each, ten branches with a rule of its own in every one, and
    a ruleset of the organization's.
    """
    count = max(2, round(1000 * share))
    with github_and_clock() as (github, clock):
        _organization(github, count)
        tell(f"{count} repositories with ten protected branches are there")
        wire = Wire(
            credentials=Pat(github.token),
            api_url=f"{github.url}/api/v3",
            graphql_url=f"{github.url}/api/graphql",
            sleep=clock.advance,
            meter=Meter(Alone(), BudgetValues, clock.now, lambda _: None),
        )
        planner = Protecting(wire)
        before = Cost(github.rates.taken["graphql"], Counter(github.hits))
        names = [facts.repo for facts in planner.repos("acme")]
        found = planner.read(names, branches=names)
        cost = Cost(github.rates.taken["graphql"], Counter(github.hits)) - before
        planner.close()
    assert len(found) == count
    assert all(_is_whole(facts) for facts in found.values())
    assert cost.rest == 0
    return Measured(cost.points, f"{count} repositories, ten rules, ten branches and one ruleset in each: {cost}.")


def _organization(github: Sandbox, count: int) -> None:
    world = github.world
    source = world.create_repo(
        "quarry/part", files={"README.md": "# A part\n"}, ci=None, branches={name: {} for name in _BRANCHES}
    )
    world.users.join_team("acme/core", "ana")
    world.add_ruleset("acme", "everywhere", rules=[{"type": "deletion"}], include=["~ALL"])
    for number in range(count):
        repo = world.copy_repo(source, f"acme/part-{number}")
        for branch in ("main", *_BRANCHES):
            world.protect(repo, branch, ["ci/test"], 1, restrictions=Restrictions(("ana",), ("core",), ()))


def _is_whole(facts: RepoFacts) -> bool:
    return (
        facts.problem is None
        and len(facts.rules or ()) == len(_BRANCHES) + 1
        and len(facts.rulesets or ()) == 1
        and len(facts.branches or ()) == len(_BRANCHES) + 1
    )


BENCHES: tuple[Bench, ...] = (Bench("protection_points", "points", protection_points, limit=1100),)
