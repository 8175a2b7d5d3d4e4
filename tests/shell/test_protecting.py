"""Protection is read in bulk and written one change at a time; what is not known is never taken for unprotected."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mergeq.core.budget import BudgetValues
from mergeq.core.protection import (
    ANY_APP,
    OFF,
    Actors,
    Backend,
    Bypasser,
    Change,
    Check,
    Effect,
    Field,
    Item,
    Kind,
    Problem,
    RepoFacts,
    Target,
    Trouble,
    Value,
    actors,
)
from mergeq.core.rulesets import as_values, standing
from mergeq.github import HeldBack, Meter, Pat, Protecting, Unreadable, Wire
from mergeq.github.budget import Alone
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.records import RequiredCheck, Restrictions
from mergeq.sandbox.users import Grant, Role
from tests.conftest import FILES

ROCKET = "acme/rocket"
PROTECTION = "/repos/{owner}/{repo}/branches/{branch}/protection"


@pytest.fixture
def speaking(github: Sandbox, clock: ManualClock) -> Iterator[Callable[[str], Protecting]]:
    """Protection in the name of whoever has a token, by processes that share what they know."""
    made: list[Protecting] = []
    ledger = Alone()

    def speak(token: str) -> Protecting:
        wire = Wire(
            credentials=Pat(token),
            api_url=f"{github.url}/api/v3",
            graphql_url=f"{github.url}/api/graphql",
            sleep=clock.advance,
            meter=Meter(ledger, BudgetValues, clock.now, lambda _: None),
        )
        made.append(Protecting(wire))
        return made[-1]

    yield speak
    for one in made:
        one.close()


@pytest.fixture
def protecting(github: Sandbox, speaking: Callable[[str], Protecting]) -> Protecting:
    return speaking(github.token)


def facts_of(protecting: Protecting, repo: str = ROCKET, **asked: Any) -> RepoFacts:
    return protecting.read([repo], **asked)[repo]


def item(kind: Kind, changes: dict[Field, Value], facts: RepoFacts, pattern: str = "main") -> Item:
    rule = facts.rule(pattern)
    before = rule.values if rule else {}
    told = tuple(Change(name, before.get(name), after, Effect.NEUTRAL) for name, after in changes.items())
    return Item(Target(facts.repo, pattern), kind, changes=told, before=before, rule=rule.id if rule else "")


def hits(github: Sandbox, name: str) -> int:
    return github.hits.get(name, 0)


EVERYTHING: dict[Field, Value] = {
    Field.CONTEXTS: frozenset({Check("build", "builder"), Check("lint", ANY_APP)}),
    Field.STRICT: True,
    Field.ENFORCE_ADMINS: True,
    Field.REVIEWS: 2,
    Field.DISMISS_STALE: True,
    Field.CODE_OWNERS: True,
    Field.LAST_PUSH: True,
    Field.DISMISSERS: actors(["ana"], ["core"]),
    Field.BYPASSERS: actors(["bo"], [], ["builder"]),
    Field.PUSHERS: actors([], ["core"], ["builder"]),
    Field.LINEAR: True,
    Field.FORCE_PUSHES: True,
    Field.FORCERS: actors(["ana"]),
    Field.DELETIONS: True,
    Field.SIGNATURES: True,
    Field.CONVERSATIONS: True,
    Field.LOCK: True,
    Field.FORK_SYNC: True,
    Field.CREATIONS: True,
    Field.DEPLOYMENTS: frozenset({"production"}),
}


@pytest.fixture
def people(github: Sandbox) -> None:
    world = github.world
    world.app("builder")
    for login in ("ana", "bo"):
        world.users.id_of(login)
    world.users.join_team("acme/core", "ana")


@pytest.mark.usefixtures("people")
def test_a_rule_is_made_with_every_field_by_one_mutation_and_read_back_as_it_was_wished(
    github: Sandbox, protecting: Protecting
) -> None:
    """P6.33, P6.41."""
    facts = facts_of(protecting)

    assert protecting.write(item(Kind.CREATE, EVERYTHING, facts, "release-*"), facts) is None

    (rule,) = facts_of(protecting).rules or ()
    assert (rule.pattern, rule.values) == ("release-*", EVERYTHING)
    assert set(EVERYTHING) == set(Field)
    assert hits(github, "graphql:Protect") == 1
    assert not any("PUT" in name or "POST" in name for name in github.hits)


def test_a_rule_that_says_nothing_is_off_in_every_field(github: Sandbox, protecting: Protecting) -> None:
    facts = facts_of(protecting)

    assert protecting.write(item(Kind.CREATE, {Field.LINEAR: False}, facts), facts) is None

    (rule,) = facts_of(protecting).rules or ()
    assert rule.values == OFF
    assert rule.creator == "mergeq-bot"
    assert github.world.repo(ROCKET).protections["main"].creator == "mergeq-bot"


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("name", list(Field), ids=str)
def test_a_change_of_one_field_leaves_all_others_as_they_are(protecting: Protecting, name: Field) -> None:
    """P4.27, P7.44: what is not mentioned is preserved."""
    facts = facts_of(protecting)
    assert protecting.write(item(Kind.CREATE, EVERYTHING, facts), facts) is None
    facts = facts_of(protecting)
    off = OFF[name]

    assert protecting.write(item(Kind.UPDATE, {name: off}, facts), facts) is None

    (rule,) = facts_of(protecting).rules or ()
    depend = {
        Field.CONTEXTS: {Field.STRICT},
        Field.REVIEWS: {
            Field.DISMISS_STALE,
            Field.CODE_OWNERS,
            Field.LAST_PUSH,
            Field.DISMISSERS,
            Field.BYPASSERS,
        },
    }.get(name, set())
    assert rule.values == EVERYTHING | {one: OFF[one] for one in {name, *depend}}
    assert rule.id == (facts.rules or ())[0].id


def test_a_rule_is_lifted_by_its_id_and_one_that_is_another_by_now_is_left_alone(
    github: Sandbox, protecting: Protecting
) -> None:
    github.world.protect(ROCKET, "main", ["ci"])
    facts = facts_of(protecting)
    lifting = item(Kind.DELETE, {}, facts)

    assert protecting.write(lifting, facts) is None
    assert facts_of(protecting).rules == ()

    github.world.protect(ROCKET, "main", ["another"])
    problem = protecting.write(lifting, facts)
    assert problem is not None
    assert problem.kind is Trouble.CONFLICT
    assert github.world.repo(ROCKET).protections["main"].checks[0].context == "another"


def test_the_pin_of_a_context_is_kept_where_none_is_said_and_a_new_one_may_come_from_anybody(
    github: Sandbox, protecting: Protecting
) -> None:
    """P4.28."""
    builder = github.world.app("builder")
    github.world.protect(ROCKET, "main", [RequiredCheck("build", builder.id), "lint"])
    facts = facts_of(protecting)
    wanted = frozenset({Check("build"), Check("lint"), Check("e2e")})

    assert protecting.write(item(Kind.UPDATE, {Field.CONTEXTS: wanted}, facts), facts) is None

    (rule,) = facts_of(protecting).rules or ()
    kept = {Check("build", "builder"), Check("lint", ANY_APP), Check("e2e", ANY_APP)}
    assert rule.values[Field.CONTEXTS] == frozenset(kept)
    assert hits(github, "GET /apps/{app_slug}") == 0


@pytest.mark.parametrize(
    ("named", "said"),
    [
        pytest.param(actors(["nobody"]), "no user nobody in acme", id="a person"),
        pytest.param(actors([], ["none"]), "no team none in acme", id="a team"),
        pytest.param(actors([], [], ["no-app"]), "no app no-app in acme", id="an App"),
        pytest.param(actors(["nobody"], ["none"]), "no user nobody, no team none in acme", id="several"),
    ],
)
def test_whoever_does_not_exist_is_told_before_anything_is_written(
    github: Sandbox, protecting: Protecting, named: Actors, said: str
) -> None:
    """P6.42, P6.50."""
    facts = facts_of(protecting)

    problem = protecting.write(item(Kind.CREATE, {Field.PUSHERS: named}, facts), facts)

    assert problem is not None
    assert problem.kind is Trouble.ACTOR_INVALID
    assert said in problem.text
    assert hits(github, "graphql:Protect") == 0


def test_who_is_found_is_believed_for_a_day_and_who_is_not_for_ten_minutes(
    github: Sandbox, protecting: Protecting, clock: ManualClock
) -> None:
    """P7.45."""
    facts = facts_of(protecting)
    wishing = item(Kind.CREATE, {Field.PUSHERS: actors(["late"])}, facts)
    looks = []
    for seconds in (0, 590, 20):
        clock.advance(seconds)
        looks.append((protecting.write(wishing, facts) is None, hits(github, "graphql:Actors")))
        github.world.users.id_of("late")
    assert looks == [(False, 1), (False, 1), (True, 2)]

    for seconds in (23 * 3600, 2 * 3600):
        clock.advance(seconds)
        facts = facts_of(protecting)
        again = item(Kind.UPDATE, {Field.PUSHERS: actors(["late"])}, facts)
        looks.append((protecting.write(again, facts) is None, hits(github, "graphql:Actors")))
    assert looks[3:] == [(True, 2), (True, 3)]


@pytest.mark.usefixtures("people")
def test_who_was_made_anew_under_the_same_name_is_looked_for_again(github: Sandbox, protecting: Protecting) -> None:
    """P7.45."""
    facts = facts_of(protecting)
    wishing = item(Kind.CREATE, {Field.PUSHERS: actors([], ["core"])}, facts)
    assert protecting.write(wishing, facts) is None
    github.world.unprotect(ROCKET, "main")
    github.world.users._ids["@acme/core"] = 9999

    problem = protecting.write(wishing, facts)

    assert problem is not None
    assert problem.kind is Trouble.CONFLICT
    before = protecting.calls
    assert protecting.write(wishing, facts) is None
    assert protecting.calls - before == 2  # who that is, and the rule


# reading


def test_repositories_are_listed_a_hundred_at_once_without_those_that_are_archived(
    github: Sandbox, protecting: Protecting
) -> None:
    """P6.39."""
    rocket = github.world.repo(ROCKET)
    for number in range(101):
        github.world.copy_repo(rocket, f"umbrella/part-{number:03}")
    github.world.archive("umbrella/part-050")
    github.world.repo("umbrella/part-007").private = True

    found = protecting.repos("umbrella")

    assert [facts.repo for facts in found] == [f"umbrella/part-{n:03}" for n in range(101) if n != 50]
    assert [facts.repo for facts in found if facts.is_private] == ["umbrella/part-007"]
    assert found[0].rules is None
    assert hits(github, "graphql:Repositories") == 1
    with pytest.raises(Unreadable, match="there is no nowhere on GitHub"):
        protecting.repos("nowhere")


def test_what_does_not_fit_on_a_page_is_read_to_its_end(github: Sandbox, protecting: Protecting) -> None:
    world = github.world
    logins = [f"dev-{number}" for number in range(230)]
    for login in logins:
        world.users.id_of(login)
    tip = str(world.repo(ROCKET).git.tip("main"))
    for number in range(70):
        world.protect(ROCKET, f"branch-{number}", [f"ci/{number}"])
    world.protect(ROCKET, "main", restrictions=Restrictions(tuple(logins), (), ()))
    for number in range(60):
        world.add_ruleset(ROCKET, f"set {number}", rules=[{"type": "deletion"}])
    for number in range(240):
        world.repo(ROCKET).git.move(f"refs/heads/branch-{number}", tip, "0" * 40)

    facts = facts_of(protecting, branches=[ROCKET])

    assert [rule.pattern for rule in facts.rules or ()] == [*(f"branch-{n}" for n in range(70)), "main"]
    named = (facts.rules or ())[-1].values[Field.PUSHERS]
    assert named == Actors(users=frozenset(logins))
    assert [one.name for one in facts.rulesets or ()] == [f"set {n}" for n in range(60)]
    assert facts.branches == frozenset({"main", *(f"branch-{n}" for n in range(240))})
    assert not any(" /repos/" in name for name in github.hits)


def test_many_repositories_are_read_in_few_calls_and_one_that_spoils_it_is_unknown_alone(
    github: Sandbox, protecting: Protecting
) -> None:
    """P6.48, P6.56."""
    rocket = github.world.repo(ROCKET)
    github.world.protect(rocket, "main", ["ci"])
    named = [github.world.copy_repo(rocket, f"acme/part-{number}").full_name for number in range(30)]
    for name in named:
        github.world.protect(name, "main", ["ci"])
    github.world.delete_repo("acme/part-13")

    found = protecting.read(named)

    assert hits(github, "graphql:Protection") <= 4
    assert [name for name in named if found[name].rules is None] == ["acme/part-13"]
    assert found["acme/part-13"].problem is not None
    assert found["acme/part-13"].problem.kind is Trouble.GONE


@pytest.mark.parametrize("fault", ["graphql.timeout", "graphql.5xx", "graphql.partial"])
def test_what_takes_too_long_is_asked_for_in_smaller_parts(github: Sandbox, protecting: Protecting, fault: str) -> None:
    rocket = github.world.repo(ROCKET)
    named = [github.world.copy_repo(rocket, f"acme/part-{number}").full_name for number in range(8)]
    github.world.faults.add(fault, route="graphql:Protection", times=9)

    found = protecting.read(named)

    assert {name for name in named if found[name].rules == ()} == set(named)


def test_so_many_as_took_too_long_are_not_asked_for_again_within_an_hour(
    github: Sandbox, protecting: Protecting, clock: ManualClock
) -> None:
    rocket = github.world.repo(ROCKET)
    named = [github.world.copy_repo(rocket, f"acme/part-{number}").full_name for number in range(8)]
    github.world.faults.add("graphql.timeout", route="graphql:Protection", times=4)
    counts = []
    for seconds in (0, 60, 3600):
        clock.advance(seconds)
        before = hits(github, "graphql:Protection")
        assert all(facts.rules == () for facts in protecting.read(named).values())
        counts.append(hits(github, "graphql:Protection") - before)

    assert counts == [4 + 2, 2, 1]


def test_an_outage_leaves_everything_unknown_and_says_so(github: Sandbox, protecting: Protecting) -> None:
    github.world.faults.add("graphql.5xx", times=None)

    facts = facts_of(protecting)

    assert (facts.rules, facts.rulesets) == (None, None)
    assert facts.problem == Problem(Trouble.SERVER, "the protection in acme could not be read: GitHub answered 502")


def test_limits_hold_it_back_or_leave_the_rest_unknown(github: Sandbox, protecting: Protecting) -> None:
    """P6.27."""
    rocket = github.world.repo(ROCKET)
    named = [github.world.copy_repo(rocket, f"acme/part-{number:02}").full_name for number in range(15)]
    github.world.faults.add("limit.secondary", route="graphql:Protection", after=1, times=None)

    found = protecting.read(named)

    unread = [name for name in named if found[name].rules is None]
    assert unread == named[10:]
    assert {found[name].problem.kind for name in unread if found[name].problem} == {Trouble.RATE_LIMITED}  # type: ignore[union-attr]
    with pytest.raises(HeldBack):
        protecting.read(named)


# what is in the way


def test_who_may_not_administer_sees_nothing_that_could_be_taken_for_unprotected(
    github: Sandbox, speaking: Callable[[str], Protecting]
) -> None:
    world = github.world
    world.protect(ROCKET, "main", ["ci"])
    world.users.set_role("writer", Role.WRITE)
    fine = world.users.issue_token("mergeq-bot", Grant("mergeq-bot", permissions={"metadata": "read"}))

    for token in (world.users.issue_token("writer"), fine):
        facts = facts_of(speaking(token))
        assert facts.rules is None
        assert facts.problem is not None
        assert facts.problem.kind is Trouble.NO_ADMIN
        assert "`administration`" in facts.problem.text


def test_not_found_means_no_administrator_where_the_repository_is_there(
    github: Sandbox, speaking: Callable[[str], Protecting]
) -> None:
    """P4.33, P6.35: by REST, of a branch and of rulesets."""
    world = github.world
    world.users.set_role("writer", Role.WRITE)
    world.add_ruleset(ROCKET, "mergeq: main", rules=[], include=["refs/heads/main"])
    writer = speaking(world.users.issue_token("writer"))
    facts = facts_of(speaking(github.token))

    for problem in (
        writer.replace(ROCKET, "main", BODY0),
        writer.write(by_ruleset(Kind.DELETE, {}, facts), facts),
        writer.write(by_ruleset(Kind.CREATE, {Field.LINEAR: True}, facts, "dev"), facts),
    ):
        assert problem is not None
        assert problem.kind is Trouble.NO_ADMIN
        assert "404 Not Found" in problem.text


def test_a_ruleset_that_is_gone_meanwhile_is_a_conflict(github: Sandbox, protecting: Protecting) -> None:
    github.world.add_ruleset(ROCKET, "mergeq: main", rules=[], include=["refs/heads/main"])
    facts = facts_of(protecting)
    github.world.repo(ROCKET).rulesets.clear()

    for kind in (Kind.UPDATE, Kind.DELETE):
        problem = protecting.write(by_ruleset(kind, {Field.LINEAR: True}, facts), facts)
        assert problem is not None
        assert problem.kind is Trouble.CONFLICT


def test_a_repository_that_is_archived_or_renamed_says_so(github: Sandbox, protecting: Protecting) -> None:
    github.world.create_repo("acme/old", files=FILES, ci=None)
    github.world.protect("acme/old", "main", ["ci"])
    github.world.archive("acme/old")
    github.world.rename_repo(ROCKET, "acme/shuttle")

    found = protecting.read(["acme/old", ROCKET])

    old, rocket = found["acme/old"], found[ROCKET]
    assert (old.is_archived, len(old.rules or ()), old.problem and old.problem.kind) == (True, 1, Trouble.ARCHIVED)
    assert (rocket.rules, rocket.renamed_to) == (None, "acme/shuttle")
    assert rocket.problem == Problem(
        Trouble.GONE, "acme/rocket is called acme/shuttle now; write that name in the configuration"
    )
    problem = protecting.write(item(Kind.UPDATE, {Field.LINEAR: True}, old), old)
    assert problem is not None
    assert problem.kind is Trouble.ARCHIVED


def test_a_plan_without_protection_for_private_repositories_is_asked_of_once_for_each_owner(
    github: Sandbox, protecting: Protecting
) -> None:
    """P6.45."""
    for name in ("acme/secret", "acme/hidden"):
        repo = github.world.create_repo(name, files=FILES, ci=None, private=True)
        repo.free_plan = True

    found = protecting.read([ROCKET, "acme/secret", "acme/hidden"])

    assert found[ROCKET].problem is None
    for name in ("acme/secret", "acme/hidden"):
        problem = found[name].problem
        assert problem is not None
        assert problem.kind is Trouble.PLAN_LIMIT
        assert "Upgrade to GitHub Pro" in problem.text
    assert hits(github, f"GET {PROTECTION}") == 1
    written = protecting.write(item(Kind.CREATE, {Field.LINEAR: True}, found["acme/secret"]), found["acme/secret"])
    assert written is not None
    assert written.kind is Trouble.PLAN_LIMIT


# what became of a write


@pytest.mark.parametrize("fault", ["graphql.untyped", "http.reset"])
def test_a_write_of_which_nothing_is_known_was_done_if_it_is_seen_to_be(
    github: Sandbox, protecting: Protecting, fault: str
) -> None:
    """D6: both faults strike after it was done."""
    facts = facts_of(protecting)
    github.world.faults.add(fault, route="graphql:Protect", args={"handled": True})

    assert protecting.write(item(Kind.CREATE, {Field.LINEAR: True}, facts), facts) is None

    assert hits(github, "graphql:Protect") == 1
    assert github.world.repo(ROCKET).protections["main"].linear_history


def test_a_write_that_is_seen_not_to_be_done_is_not_repeated(github: Sandbox, protecting: Protecting) -> None:
    facts = facts_of(protecting)
    github.world.faults.add("graphql.5xx", route="graphql:Protect")

    problem = protecting.write(item(Kind.CREATE, {Field.LINEAR: True}, facts), facts)

    assert problem == Problem(Trouble.SERVER, "GitHub answered 502; it was not done")
    assert hits(github, "graphql:Protect") == 1
    assert github.world.repo(ROCKET).protections == {}


def test_somebody_else_who_protects_the_same_meanwhile_is_a_conflict(github: Sandbox, protecting: Protecting) -> None:
    """P6.57."""
    facts = facts_of(protecting)
    github.world.protect(ROCKET, "main", ["ci"])

    problem = protecting.write(item(Kind.CREATE, {Field.LINEAR: True}, facts), facts)

    assert problem is not None
    assert problem.kind is Trouble.CONFLICT
    assert "Name already protected: main" in problem.text


def test_limits_hold_a_write_back(github: Sandbox, protecting: Protecting) -> None:
    """P6.39."""
    facts = facts_of(protecting)
    github.world.faults.add("limit.secondary", route="graphql:Protect")

    problem = protecting.write(item(Kind.CREATE, {Field.LINEAR: True}, facts), facts)

    assert problem is not None
    assert problem.kind is Trouble.RATE_LIMITED
    assert github.world.repo(ROCKET).protections == {}


# as Prow writes it

BODY0: dict[str, Any] = {
    "required_status_checks": None,
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
    "required_linear_history": False,
    "allow_force_pushes": False,
    "allow_deletions": False,
}


@pytest.mark.parametrize("branch", ["main", "feature/one", "test_#123", "50%", "ünï"])
def test_a_body_of_prows_is_put_for_a_branch_of_any_name(github: Sandbox, protecting: Protecting, branch: str) -> None:
    """P4.26, E29."""
    world = github.world
    if branch != "main":
        world.repo(ROCKET).git.move(f"refs/heads/{branch}", str(world.repo(ROCKET).git.tip("main")), "0" * 40)

    assert protecting.replace(ROCKET, branch, BODY0 | {"required_linear_history": True}, True) is None
    rule = world.repo(ROCKET).protections[branch]
    assert (rule.linear_history, rule.signatures) == (True, True)

    assert protecting.replace(ROCKET, branch, BODY0, False) is None
    rule = world.repo(ROCKET).protections[branch]
    assert (rule.linear_history, rule.signatures) == (False, False)

    assert protecting.replace(ROCKET, branch, None) is None
    assert world.repo(ROCKET).protections == {}


def test_signatures_are_not_touched_after_a_body_that_was_refused(github: Sandbox, protecting: Protecting) -> None:
    """E68."""
    github.world.protect(ROCKET, "main", ["ci"])
    body = BODY0 | {"restrictions": {"users": ["nobody-at-all"], "teams": []}}

    problem = protecting.replace(ROCKET, "main", body, True)

    assert problem is not None
    assert problem.kind is Trouble.REFUSED
    assert hits(github, f"POST {PROTECTION}/required_signatures") == 0
    gone = protecting.replace(ROCKET, "nowhere", BODY0)
    assert gone is not None
    assert gone.kind is Trouble.GONE


# rulesets

RULESET: dict[Field, Value] = {
    Field.CONTEXTS: frozenset({Check("build", "builder"), Check("lint", ANY_APP)}),
    Field.STRICT: True,
    Field.ENFORCE_ADMINS: True,
    Field.REVIEWS: 2,
    Field.LINEAR: True,
    Field.DEPLOYMENTS: frozenset({"production"}),
}
BY_PULL = {
    "required_approving_review_count": 1,
    "dismiss_stale_reviews_on_push": False,
    "require_code_owner_review": False,
    "require_last_push_approval": False,
    "required_review_thread_resolution": False,
}


def by_ruleset(kind: Kind, changes: dict[Field, Value], facts: RepoFacts, pattern: str = "main") -> Item:
    old = standing(facts, pattern)
    before = as_values(old) if old else {}
    told = tuple(Change(name, before.get(name), after, Effect.NEUTRAL) for name, after in changes.items())
    rule = str(old.id) if old else ""
    return Item(Target(facts.repo, pattern), kind, Backend.RULESET, changes=told, before=before, rule=rule)


@pytest.mark.usefixtures("people")
def test_a_ruleset_is_made_changed_and_deleted_by_its_number(protecting: Protecting) -> None:
    """P6.61."""
    facts = facts_of(protecting)
    assert protecting.write(by_ruleset(Kind.CREATE, RULESET, facts), facts) is None

    facts = facts_of(protecting)
    (made,) = facts.rulesets or ()
    assert (made.name, made.owner, made.include, made.is_whole) == ("mergeq: main", ROCKET, ("refs/heads/main",), True)
    assert as_values(made) == {**OFF, **RULESET}
    assert made.bypassers == ()

    wanted: dict[Field, Value] = {Field.ENFORCE_ADMINS: False, Field.CONTEXTS: frozenset({Check("build", "builder")})}
    assert protecting.write(by_ruleset(Kind.UPDATE, wanted, facts), facts) is None

    facts = facts_of(protecting)
    (changed,) = facts.rulesets or ()
    assert changed.id == made.id
    assert as_values(changed) == {**OFF, **RULESET, **wanted}
    assert changed.bypassers == (Bypasser("RepositoryRole", 5, "admin", "always"),)

    assert protecting.write(by_ruleset(Kind.DELETE, {}, facts), facts) is None
    assert facts_of(protecting).rulesets == ()


def test_another_process_knows_the_pins_of_a_ruleset_by_name(
    github: Sandbox, protecting: Protecting, speaking: Callable[[str], Protecting]
) -> None:
    """P6.52: GitHub tells their numbers alone."""
    github.world.app("builder")
    facts = facts_of(protecting)
    wanted = frozenset({Check("build", "builder")})
    assert protecting.write(by_ruleset(Kind.CREATE, {Field.CONTEXTS: wanted}, facts), facts) is None

    (ruleset,) = facts_of(speaking(github.token)).rulesets or ()

    assert as_values(ruleset)[Field.CONTEXTS] == wanted


def test_a_repository_is_known_by_however_its_name_is_spelt(protecting: Protecting) -> None:
    facts = facts_of(protecting, "Acme/Rocket")
    assert protecting.write(by_ruleset(Kind.CREATE, {Field.LINEAR: True}, facts), facts) is None

    assert standing(facts_of(protecting, "Acme/Rocket"), "main") is not None


def test_what_no_field_can_say_of_a_ruleset_is_sent_back_as_it_is(github: Sandbox, protecting: Protecting) -> None:
    """P6.49, P7.43: GraphQL does not show all of it."""
    world = github.world
    world.users.join_team("acme/core", "ana")
    exempt = {"actor_type": "User", "actor_id": world.users.id_of("ana"), "bypass_mode": "exempt"}
    pattern = {"type": "commit_message_pattern", "parameters": {"operator": "contains", "pattern": "Add"}}
    review = {"type": "copilot_code_review", "parameters": {"review_on_push": True}}
    before = world.add_ruleset(ROCKET, "by hand", rules=[pattern, review], include=["refs/heads/main"], bypass=[exempt])
    facts = facts_of(protecting)

    assert protecting.write(by_ruleset(Kind.UPDATE, {Field.LINEAR: True}, facts), facts) is None

    after = world.repo(ROCKET).rulesets[before.id]
    assert after.name == "by hand"
    assert {rule.type: rule.parameters for rule in after.rules} == {
        **{rule.type: rule.parameters for rule in before.rules},
        "required_linear_history": None,
    }
    assert [actor.who for actor in after.bypass if actor.kind == "User"] == ["ana"]


def test_a_ruleset_that_mergeq_did_not_make_is_not_deleted(github: Sandbox, protecting: Protecting) -> None:
    """P6.43."""
    made = github.world.add_ruleset(ROCKET, "by hand", rules=[{"type": "deletion"}], include=["refs/heads/main"])
    facts = facts_of(protecting)

    problem = protecting.write(by_ruleset(Kind.DELETE, {}, facts), facts)

    assert problem == Problem(
        Trouble.REFUSED, "the ruleset by hand of acme/rocket was not made by mergeq; delete it by hand"
    )
    assert list(github.world.repo(ROCKET).rulesets) == [made.id]


def test_a_ruleset_that_came_or_went_since_the_plan_is_a_conflict(github: Sandbox, protecting: Protecting) -> None:
    facts = facts_of(protecting)
    planned = by_ruleset(Kind.CREATE, {Field.LINEAR: True}, facts)
    github.world.add_ruleset(ROCKET, "mergeq: main", rules=[], include=["refs/heads/main"])

    for now in (facts, facts_of(protecting)):
        problem = protecting.write(planned, now)
        assert problem is not None
        assert problem.kind is Trouble.CONFLICT


def test_a_ruleset_of_which_nothing_was_heard_is_looked_for(github: Sandbox, protecting: Protecting) -> None:
    facts = facts_of(protecting)
    github.world.faults.add("http.reset", route="POST /repos/{owner}/{repo}/rulesets", args={"handled": True})

    assert protecting.write(by_ruleset(Kind.CREATE, {Field.LINEAR: True}, facts), facts) is None

    assert len(github.world.repo(ROCKET).rulesets) == 1


def test_who_is_let_past_stays_where_github_only_says_that_it_was_changed(
    github: Sandbox, protecting: Protecting
) -> None:
    """P6.54: it is seen by reading again."""
    facts = facts_of(protecting)
    assert protecting.write(by_ruleset(Kind.CREATE, {Field.ENFORCE_ADMINS: False}, facts), facts) is None
    github.world.faults.add("ruleset.keeps_bypass", repo=ROCKET)
    facts = facts_of(protecting)

    assert protecting.write(by_ruleset(Kind.UPDATE, {Field.ENFORCE_ADMINS: True}, facts), facts) is None

    assert as_values((facts_of(protecting).rulesets or ())[0])[Field.ENFORCE_ADMINS] is False


def test_an_organizations_ruleset_that_graphql_does_not_show_in_full_is_asked_for_once(
    github: Sandbox, protecting: Protecting
) -> None:
    world = github.world
    number = world.users.id_of("ana")
    exempt = {"actor_type": "User", "actor_id": number, "bypass_mode": "exempt"}
    world.add_ruleset("acme", "parent", rules=[{"type": "deletion"}], include=["~ALL"], bypass=[exempt])
    rocket = world.repo(ROCKET)
    named = [world.copy_repo(rocket, f"acme/part-{number}").full_name for number in range(6)]
    route = "GET /repos/{owner}/{repo}/rulesets/{ruleset_id}"

    for found in (protecting.read(named), protecting.read(named)):
        assert all((facts.rulesets or ())[0].is_whole for facts in found.values())
        assert hits(github, route) == 1
    assert (protecting.read(named)[named[0]].rulesets or ())[0].bypassers == (Bypasser("User", number, "", "exempt"),)


# who may, and who did


def test_whoever_may_at_least_push_may_be_named(github: Sandbox, protecting: Protecting) -> None:
    """P3.12, P4.31: those who maintain too; and lists that did not change are not paid for again (P4.35)."""
    world = github.world
    repo = world.repo(ROCKET)
    world.users.default_role = Role.READ
    for role in Role:
        world.users.id_of(f"who-{role}")
        repo.people.invite(f"Who-{role}", role)
        world.users.join_team(f"acme/team-{role}", "ana")
        repo.people.team_roles[f"team-{role}"] = role
    for level in ("read", "write"):
        world.install_app(world.register_app(f"app-{level}", permissions={"contents": level}), "acme")

    found = protecting.authorized(ROCKET)

    pushing = ("write", "maintain", "admin")
    assert {login for login in found.users if login.startswith("who-")} == {f"who-{role}" for role in pushing}
    assert found.teams == {f"team-{role}" for role in pushing}
    assert found.apps == {"app-write"}
    spent = github.rates.taken["core"]
    assert protecting.authorized(ROCKET) == found
    assert github.rates.taken["core"] == spent


def test_whoever_may_not_write_is_dropped_from_a_list_without_a_word(github: Sandbox, protecting: Protecting) -> None:
    """P4.34, P6.53: by GraphQL and by REST."""
    world = github.world
    world.users.set_role("reader", Role.READ)
    for team in ("core", "readers"):
        world.users.join_team(f"acme/{team}", "ana")
    world.repo(ROCKET).people.team_roles["readers"] = Role.READ
    facts = facts_of(protecting)
    wanted = actors(["ana", "reader"], ["core", "readers"])

    assert protecting.write(item(Kind.CREATE, {Field.PUSHERS: wanted}, facts), facts) is None
    assert (facts_of(protecting).rules or ())[0].values[Field.PUSHERS] == actors(["ana"], ["core"])

    body = BODY0 | {"restrictions": {"users": ["ana", "reader"], "teams": ["core", "readers"]}}
    assert protecting.replace(ROCKET, "main", body) is None
    assert (facts_of(protecting).rules or ())[0].values[Field.PUSHERS] == actors(["ana"], ["core"])


@pytest.mark.parametrize("audited", [True, False])
def test_who_changed_protection_is_told_as_far_as_github_tells(
    github: Sandbox, protecting: Protecting, clock: ManualClock, audited: bool
) -> None:
    world = github.world
    world.audited = audited
    world.protect(ROCKET, "main", ["ci"], by="bo")
    clock.advance(60)
    since = clock.now()
    world.protect(ROCKET, "main", ["ci", "lint"], by="ana")
    clock.advance(60)
    facts = facts_of(protecting)
    assert protecting.write(by_ruleset(Kind.CREATE, {Field.LINEAR: True}, facts), facts) is None

    told = [(one.by, f"{one.what} {one.about}") for one in protecting.changed_by(ROCKET, since)]

    if audited:
        assert told == [
            ("mergeq-bot", "repository_ruleset.create mergeq: main"),
            ("ana", "protected_branch.update main"),
        ]
    else:
        assert told == [("mergeq-bot", "ruleset mergeq: main")]


def test_a_token_that_is_not_authorized_for_single_sign_on_is_told_what_to_do(
    github: Sandbox, protecting: Protecting
) -> None:
    github.world.faults.add("auth.saml", repo=ROCKET, times=None)

    facts = facts_of(protecting)

    assert facts.rules is None
    assert facts.problem is not None
    assert facts.problem.kind is Trouble.NO_ADMIN
    assert "authorize mergeq's token" in facts.problem.text
    problem = protecting.replace(ROCKET, "main", BODY0)
    assert problem is not None
    assert "authorize mergeq's token" in problem.text
