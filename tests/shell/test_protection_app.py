"""Who reads protection cannot write it, and who writes it can do nothing else, to one repository at a time (P7.12)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mergeq.bootstrap import Services
from mergeq.config import ConfigError, Settings
from mergeq.core.protection import Change, Effect, Field, Item, Kind, RepoFacts, Target, Trouble, actors
from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Restrictions
from mergeq.sandbox.users import Grant
from tests.conftest import CONFIG, FILES, Mergeq

ROCKET = "acme/rocket"
PERMISSIONS = {"administration": "write", "contents": "write", "members": "read", "statuses": "write"}


@pytest.fixture
def start_app(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], tmp_path: Path
) -> Iterator[Callable[..., Services]]:
    """Start mergeq by a token, with an App for protection that was given some permissions in acme."""
    made: list[Services] = []

    def start(permissions: Mapping[str, str] = PERMISSIONS, config: str = CONFIG) -> Services:
        app = github.world.register_app("guard", permissions=permissions)
        github.world.install_app(app, "acme")
        key = tmp_path / "guard.pem"
        key.write_text(app.pem)
        mergeq = start_mergeq(config, protection_app_id=str(app.app.id), protection_app_key_file=str(key))
        made.append(mergeq.services)
        return mergeq.services

    yield start
    for one in made:
        one.planner.close()
        one.applier.close()


def linear(facts: RepoFacts) -> Item:
    change = Change(Field.LINEAR, None, after=True, effect=Effect.STRENGTHEN)
    return Item(Target(facts.repo, "main"), Kind.CREATE, changes=(change,))


def minted(github: Sandbox) -> list[Grant]:
    """All tokens of installations, in the order they were given."""
    grants = github.world.users._grants.values()
    return [grant for grant in grants if grant.installation is not None]


def test_a_token_for_planning_reads_everything_and_writes_nothing(
    github: Sandbox, start_app: Callable[..., Services]
) -> None:
    """P6.38."""
    services = start_app()
    github.world.users.join_team("acme/core", "ana")
    github.world.protect(ROCKET, "main", ["ci"], restrictions=Restrictions(("ana",), ("core",), ()))

    facts = services.planner.read([ROCKET], branches=[ROCKET])[ROCKET]

    assert facts.problem is None
    assert (facts.rules or ())[0].values[Field.PUSHERS] == actors(["ana"], ["core"])
    assert facts.branches == frozenset({"main"})
    (grant,) = minted(github)
    assert set((grant.permissions or {}).values()) == {"read"}
    problem = services.planner.write(Item(Target(ROCKET, "main"), Kind.DELETE, rule=(facts.rules or ())[0].id), facts)
    assert problem is not None
    assert problem.kind is Trouble.NO_ADMIN
    assert "main" in github.world.repo(ROCKET).protections


def test_an_app_that_may_look_at_its_organization_knows_who_may_be_named_and_who_changed_what(
    github: Sandbox, start_app: Callable[..., Services]
) -> None:
    services = start_app({**PERMISSIONS, "organization_administration": "read"})
    github.world.audited = True
    github.world.protect(ROCKET, "main", ["ci"], by="ana")

    assert services.planner.authorized(ROCKET).apps == {"guard"}
    assert [one.by for one in services.planner.changed_by(ROCKET, 0.0)] == ["ana"]


@pytest.mark.parametrize(("backend", "is_whole"), [("classic", False), ("ruleset", True)])
def test_whom_a_ruleset_lets_past_is_read_where_rulesets_are_written(
    github: Sandbox, start_app: Callable[..., Services], backend: str, is_whole: bool
) -> None:
    services = start_app(config=f"{CONFIG}mergeq: {{protection: {{backend: {backend}}}}}\n")
    github.world.add_ruleset(ROCKET, rules=[{"type": "deletion"}])

    (ruleset,) = services.planner.read([ROCKET])[ROCKET].rulesets or ()

    assert ruleset.is_whole is is_whole


def test_a_token_for_writing_is_for_one_repository_and_administration_alone(
    github: Sandbox, start_app: Callable[..., Services]
) -> None:
    services = start_app()
    github.world.create_repo("acme/shuttle", files=FILES, ci=None)
    found = services.planner.read([ROCKET, "acme/shuttle"])

    for facts in (*found.values(), found[ROCKET]):
        assert services.applier.write(linear(facts), facts) is None or facts.repo == ROCKET

    repos = [github.world.repo(name).id for name in (ROCKET, "acme/shuttle")]
    writing = [grant for grant in minted(github) if grant.repos is not None]
    assert [grant.repos for grant in writing] == [frozenset({number}) for number in repos]
    wanted = {"administration": "write", "members": "read", "metadata": "read"}
    assert all(grant.permissions == wanted for grant in writing)
    assert github.world.repo(ROCKET).protections["main"].creator == "guard[bot]"


@pytest.mark.parametrize(
    "permissions",
    [
        pytest.param({"contents": "write"}, id="not granted"),
        pytest.param({**PERMISSIONS, "administration": "read"}, id="only for reading"),
    ],
)
def test_an_app_that_may_not_administer_is_told_so(
    start_app: Callable[..., Services], permissions: Mapping[str, str]
) -> None:
    services = start_app(permissions)
    facts = services.planner.read([ROCKET])[ROCKET]

    assert (facts.rules is None) == ("administration" not in permissions)
    problem = facts.problem or services.applier.write(linear(facts), facts)
    assert problem is not None
    assert problem.kind is Trouble.NO_ADMIN
    assert "the permission `administration`" in problem.text


def test_an_app_that_is_not_installed_is_told_so(github: Sandbox, start_app: Callable[..., Services]) -> None:
    github.world.create_repo("umbrella/rocket", files=FILES, ci=None)
    services = start_app()

    facts = services.planner.read(["umbrella/rocket"])["umbrella/rocket"]

    assert facts.problem is not None
    assert facts.problem.kind is Trouble.NO_ADMIN
    assert "the GitHub App is not installed in umbrella; install it there" in facts.problem.text


def test_without_an_app_of_its_own_protection_is_read_and_written_by_the_common_token(
    github: Sandbox, mergeq: Mergeq
) -> None:
    services = mergeq.services
    facts = services.planner.read([ROCKET])[ROCKET]

    assert services.applier.write(linear(facts), facts) is None

    assert github.world.repo(ROCKET).protections["main"].creator == "mergeq-bot"
    services.planner.close()
    services.applier.close()


def test_both_halves_of_the_app_are_asked_for() -> None:
    for name, other in (
        ("MERGEQ_PROTECTION_APP_ID", "MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE"),
        ("MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE", "MERGEQ_PROTECTION_APP_ID"),
    ):
        with pytest.raises(ConfigError, match=f"{other}: is not set, but the other half of the GitHub App is"):
            Settings.from_environment({"GITHUB_TOKEN": "x", name: "1"})


def test_a_key_that_cannot_be_used_is_one_line(start_mergeq: Callable[..., Mergeq], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE: .*none.pem: cannot be read"):
        start_mergeq(protection_app_id="1", protection_app_key_file=str(tmp_path / "none.pem"))
