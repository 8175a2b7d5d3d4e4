"""`mergeq protect`: what is printed, what it exits with, and what it never does."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from mergeq import operators
from mergeq.cli import cli
from mergeq.config import schemas
from mergeq.core.orders import EVERYTHING
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import FILES, Mergeq
from tests.shell.test_reconcile import ENFORCED, OBSERVED, Protected, many
from tests.shell.test_replay import env_of


class Desk(Protected):
    """Somebody at a terminal."""

    def says(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on stdout."""
        return self.runs(*arguments, code=code).stdout

    def runs(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["protect", *arguments], env=env_of(self.mergeq), standalone_mode=False)
        if code and isinstance(result.exception, SystemExit):
            assert result.exit_code == code, result.output
        else:
            assert result.exit_code == code, result
        return result

    def refuses(self, *arguments: str) -> str:
        """Why a command does nothing, in its one line."""
        result = self.runs(*arguments, code=1)
        return str(getattr(result.exception, "message", result.exception))


@pytest.fixture
def desk(github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock) -> Callable[..., Desk]:
    return lambda config=ENFORCED: Desk(start_mergeq(config), github, clock)


# plan


def test_a_plan_says_what_would_change_and_which_line_asks_for_it(desk: Callable[..., Desk]) -> None:
    """P6.60."""
    at = desk()

    told = at.says("plan", code=2).splitlines()

    assert told[0].endswith(": 1 change in 1 repository")
    assert told[2:4] == ["acme/rocket", "  + main  create, it has no rule"]
    config = at.mergeq.services.settings.config_paths[0]
    assert told[4] == f"      required_status_checks.contexts  none → ci/test  [{config}:11]"
    assert at.rule() is None


def test_a_plan_of_what_is_as_wished_is_empty_and_exits_with_nothing(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.pass_by()

    assert at.says("plan") == "nothing to do: 1 branch or pattern looked at\n"


def test_what_protects_less_is_said_first(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.github.world.protect("acme/rocket", "main", ["ci/test", "ci/more"], enforce_admins=True, strict=True)

    told = at.says("plan", code=2).splitlines()

    assert told[0].endswith(": 1 change in 1 repository, of which 1 protects less")
    assert told[1:4] == ["", "protects less:", "  acme/rocket:main: required_status_checks.contexts -ci/more"]


def test_a_plan_is_one_document_that_its_schema_describes(desk: Callable[..., Desk]) -> None:
    at = desk(OBSERVED)

    told = json.loads(at.says("plan", "acme/rocket", "--json", code=2))

    schemas.validator("protect-plan").validate(told)
    assert (told["scope"], [item["kind"] for item in told["items"]]) == ("acme/rocket", ["create"])
    assert (told["items"][0]["mode"], told["held"]) == ("observe", [])


def test_a_plan_for_a_pull_request_folds_away_what_nobody_has_to_fear(desk: Callable[..., Desk]) -> None:
    told = desk().says("plan", "--markdown", code=2)

    assert told.startswith("**plan ")
    assert "<details><summary>acme/rocket</summary>" in told
    assert "  - `enforce_admins`: false → true" in told


def test_a_repository_that_cannot_be_read_fails_the_plan_by_name(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.github.world.delete_repo("acme/rocket")

    result = at.runs("plan", code=1)

    assert result.stderr.startswith("not read: acme/rocket: ")


def test_a_plan_of_what_the_configuration_does_not_protect_is_refused(desk: Callable[..., Desk]) -> None:
    at = desk()

    assert at.refuses("plan", "umbrella") == "the configuration protects nothing of umbrella"
    assert at.refuses("plan", "acme/launchpad") == "the configuration protects nothing of acme/launchpad"


def test_a_context_that_nothing_has_ever_reported_is_warned_about(desk: Callable[..., Desk]) -> None:
    """P7.47."""
    at = desk(
        OBSERVED.replace("[ci/test]", "[ci/test, ci/tset]") + "tide: {queries: [{orgs: [acme], labels: [lgtm]}]}\n"
    )
    at.github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"})
    at.github.settle()
    at.mergeq.sweep_and_work()

    told = at.says("plan", code=2)

    assert "warning: context never seen: no pull request into acme/rocket:main has reported ci/tset" in told
    assert "has reported ci/test\n" not in told


# apply


def test_nothing_is_written_without_confirmation(desk: Callable[..., Desk]) -> None:
    """P6.38."""
    at = desk()

    told = at.says("apply")

    assert told.endswith("nothing was written; add --confirm to write it\n")
    assert at.rule() is None


def test_what_is_confirmed_is_written_verified_and_on_record_by_name(desk: Callable[..., Desk]) -> None:
    at = desk()

    told = at.says("apply", "--confirm", "--as", "ana", "--why", "go")

    (row,) = at.rows()
    assert told.splitlines()[-2:] == ["  done  acme/rocket:main", f"run {row.run}: 1 done, 0 failed, 0 left"]
    assert at.rule()
    assert (row.by.partition("@")[0], row.why) == ("ana", "go")


def test_only_the_plan_that_was_shown_is_written(desk: Callable[..., Desk]) -> None:
    at = desk()
    shown = json.loads(at.says("plan", "--json", code=2))["hash"]
    at.github.world.protect("acme/rocket", "main", ["ci/other"])

    assert "look at it again" in at.refuses("apply", "--confirm", "--plan", shown)
    rule = at.rule()
    assert rule
    assert [check.context for check in rule.checks] == ["ci/other"]


def test_an_observed_org_is_not_written_to_unless_that_is_said_and_then_it_is_on_record(
    desk: Callable[..., Desk],
) -> None:
    at = desk(OBSERVED)

    dry = at.says("apply")
    why = at.refuses("apply", "--confirm")
    before = at.rule()
    at.says("apply", "--confirm", "--even-if-observe", "--why", "try it")

    assert why == "acme is only observed: say `mode: enforce` in the configuration, or add --even-if-observe"
    assert dry.endswith(f"nothing was written; {why}\n")
    assert before is None
    assert at.rule()
    assert at.rows()[0].why == "try it (--even-if-observe)"


def test_what_somebody_changed_before_it_is_on_record_too(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.pass_by()
    at.github.world.unprotect("acme/rocket", "main")

    at.says("apply", "--confirm", "--as", "ana")

    assert [(row.result.value, row.by.partition("@")[0]) for row in at.rows()[1:]] == [("seen", ""), ("applied", "ana")]


def test_nothing_is_written_while_everything_is_paused(desk: Callable[..., Desk]) -> None:
    at = desk()
    operators.pause(at.mergeq.services, EVERYTHING, "ana@desk", "GitHub is being moved")

    assert at.refuses("apply", "--confirm").startswith("everything is halted: paused by ana@desk")
    assert at.rule() is None


def test_what_is_applied_is_one_document_too(desk: Callable[..., Desk]) -> None:
    told = json.loads(desk().says("apply", "--confirm", "--json"))

    schemas.validator("protect-apply").validate(told)
    assert (told["ok"], told["confirmed"], [row["result"] for row in told["records"]]) == (True, True, ["applied"])


def test_too_large_a_plan_is_held_until_somebody_who_may_has_agreed(desk: Callable[..., Desk], github: Sandbox) -> None:
    for n in range(3):
        github.world.create_repo(f"acme/r{n}", files=FILES)
    github.world.users.join_team("acme/admins", "ana")
    github.world.users.join_org("acme", "mergeq-bot")
    at = desk(many(3, max_repos_changed=2).replace("max_repos_changed", "ack_by: [acme/admins], max_repos_changed"))

    held = at.runs("apply", "--confirm", code=1).stdout
    hash_ = at.store.held()[0].hash[:12]
    stranger = at.refuses("ack", hash_, "--why", "fine", "--as", "bob")
    nobody = at.refuses("ack", hash_, "--why", "fine")
    wrong = at.refuses("ack", "0123456789", "--why", "fine", "--as", "ana")
    agreed = at.says("ack", hash_, "--why", "fine", "--as", "ana")
    at.says("apply", "--confirm")

    assert f"to agree: mergeq protect ack {hash_} --why …" in held
    assert stranger == "bob is not seen to be a member of acme/admins, and so may not agree"
    assert nobody == "say who agrees with --as LOGIN: a member of acme/admins"
    assert wrong == f"0123456789 names no plan that is held; those that are: {hash_}"
    assert agreed.startswith("agreed to 3 changes; the next look writes them")
    assert all(at.rule("main", f"acme/r{n}") for n in range(3))


# rollback


def test_a_run_is_put_back_by_its_name(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.github.world.protect("acme/rocket", "main", ["ci/other"], enforce_admins=False)
    at.pass_by()
    run = at.rows()[-1].run

    shown = at.says("rollback", run, "--why", "locked out")
    at.says("rollback", run, "--why", "locked out", "--confirm", "--as", "ana")
    at.pass_by(7 * 3600.0)

    assert "  ~ main  update, what a run changed is put back\n" in shown
    assert "yaml" not in shown, "no line of the configuration asks for it"
    assert "nothing was written" in shown
    rule = at.rule()
    assert rule
    assert ([check.context for check in rule.checks], rule.enforce_admins) == (["ci/other"], False)
    assert [(row.result.value, row.cause) for row in at.rows()] == [
        ("applied", "first-run"),
        ("rolled-back", "rollback"),
    ]
    assert "rolled back by ana@" in at.says("plan")


def test_what_was_put_back_was_not_changed_by_somebody_else(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.pass_by()
    at.says("rollback", at.rows()[-1].run, "--why", "locked out", "--confirm")

    at.rewrite(ENFORCED.replace("ci/test", "ci/other"))

    assert "  + main  create, the configuration changed\n" in at.says("plan", code=2)


def test_what_puts_back_too_much_waits_too_and_forgets_nothing_else_that_waits(
    desk: Callable[..., Desk], github: Sandbox
) -> None:
    for n in range(2):
        github.world.create_repo(f"acme/r{n}", files=FILES)
    at = desk(many(2))
    at.pass_by()
    run = at.rows()[0].run
    at.rewrite(many(2, max_repos_changed=0).replace("enforce_admins", "required_linear_history"))
    at.pass_by()
    waiting = [one.scope for one in at.store.held()]

    at.runs("rollback", run, "--why", "locked out", "--confirm", code=1)
    held = {one.scope: one.hash[:12] for one in at.store.held()}
    agreed = at.says("ack", held[f"rollback {run}"], "--why", "fine")
    at.says("rollback", run, "--why", "locked out", "--confirm")

    assert waiting == ["*"]
    assert sorted(held) == ["*", f"rollback {run}"]
    assert agreed == f"agreed to 2 changes; to write them: mergeq protect rollback {run} --confirm --why …\n"
    assert [one.scope for one in at.store.held()] == ["*"]
    assert at.rule("main", "acme/r0") is None


def test_what_waits_keeps_nobody_from_putting_something_back(desk: Callable[..., Desk], github: Sandbox) -> None:
    github.world.create_repo("acme/r0", files=FILES)
    at = desk(many(1))
    at.pass_by()
    at.rewrite(many(1, max_repos_changed=0).replace("enforce_admins", "required_linear_history"))
    at.pass_by()
    at.rewrite(many(1).replace("enforce_admins", "required_linear_history"))

    at.says("rollback", at.rows()[0].run, "--why", "locked out", "--confirm")

    assert [one.scope for one in at.store.held()] == ["*"]
    assert at.rule("main", "acme/r0") is None


def test_a_run_that_nobody_knows_is_refused_with_those_that_are_known(desk: Callable[..., Desk]) -> None:
    assert desk().refuses("rollback", "r7", "--why", "x") == "nothing is known of a run r7; the newest are none"


# explain and audit


def test_what_is_in_force_is_told_with_the_line_that_asks_for_it_and_who_did_it_when(
    desk: Callable[..., Desk],
) -> None:
    at = desk()
    at.pass_by()
    at.github.world.add_ruleset("acme", "house", rules=[{"type": "required_signatures"}], include=["~ALL"])

    told = at.says("explain", "acme/rocket:main")
    document = json.loads(at.says("explain", "acme/rocket:main", "--json"))

    config = at.mergeq.services.settings.config_paths[0]
    assert f"asked for by {config}:10 (acme/rocket:main)" in told
    assert ", by mergeq: it has no rule" in told
    assert "demanded by ruleset house of acme" in told
    schemas.validator("protect-explain").validate(document)
    by_field = {one["field"]: one for one in document["settings"]}
    assert by_field["enforce_admins"]["who"] == "mergeq"
    assert by_field["require_signed_commits"]["by"] == ["ruleset house of acme"]


def test_a_branch_without_protection_says_so(desk: Callable[..., Desk]) -> None:
    told = desk(OBSERVED).says("explain", "acme/rocket:main")

    assert told.startswith("acme/rocket:main is not protected\n")
    assert "only observed" in told


def test_a_branch_that_is_not_there_is_not_taken_for_one_without_protection(desk: Callable[..., Desk]) -> None:
    at = desk(OBSERVED)

    assert at.says("explain", "acme/rocket:mian") == "acme/rocket:mian does not exist, and would not be protected\n"
    document = json.loads(at.says("explain", "acme/rocket:mian", "--json"))
    schemas.validator("protect-explain").validate(document)
    assert document["missing"] is True


def test_the_audit_is_filtered_and_a_row_is_a_line(desk: Callable[..., Desk]) -> None:
    """P6.59."""
    at = desk()
    at.pass_by()
    at.github.world.unprotect("acme/rocket", "main")
    at.tells("branch_protection_rule", "deleted", "bob", "d1")
    at.mergeq.work()

    told = at.says("audit", "acme/rocket", "--result", "seen", "--by", "Bob")
    rows = [json.loads(line) for line in at.says("audit", "--json", "--since", "2020-01-01").splitlines()]

    assert len(told.splitlines()) == 1
    assert "bob" in told
    assert "the rule was removed on GitHub" in told
    assert [row["result"] for row in rows] == ["applied", "seen", "applied"]
    none = at.runs("audit", "--until", "2020-01-01")
    assert (none.stdout, none.stderr) == ("", "nothing like that is on record\n")
    assert at.runs("audit", "--since", "tomorrow", code=1).exception


# import


def test_what_is_imported_asks_for_nothing(desk: Callable[..., Desk]) -> None:
    at = desk(OBSERVED)
    world = at.github.world
    world.create_repo("acme/launchpad", files=FILES)
    world.push("acme/launchpad", "release/1", {"engine.txt": "v1"})
    world.protect("acme/rocket", "main", ["ci/test"], required_reviews=1)
    world.protect("acme/launchpad", "main", ["ci/test"], required_reviews=2)
    world.protect("acme/launchpad", "release/*", required_linear_history=True)
    world.add_ruleset("acme/rocket", "tight", rules=[{"type": "deletion"}])

    told = at.says("import", "acme")
    at.rewrite(told)

    assert told.startswith("# acme/rocket: the ruleset tight of acme/rocket stays as it is")
    assert at.says("plan") == "nothing to do: 3 branches and patterns looked at\n"


def test_where_nothing_is_protected_an_import_says_so(desk: Callable[..., Desk]) -> None:
    at = desk()

    told = at.says("import", "acme").splitlines()

    assert told[0].startswith("# nothing that protects acme can be kept; write what is to protect it")
    assert told[1:] == ["{}"]


def test_to_import_takes_neither_a_configuration_nor_a_redis(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.github.world.protect("acme/rocket", "main", ["ci/test"])
    only = {name: value for name, value in env_of(at.mergeq).items() if name.startswith("GITHUB_")}

    result = CliRunner().invoke(cli, ["protect", "import", "acme/rocket"], env={**only, "MERGEQ_CONFIG": ""})

    assert result.exit_code == 0, result.output
    assert "contexts:\n" in result.stdout
