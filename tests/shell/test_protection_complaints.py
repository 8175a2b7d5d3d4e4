"""What people said of other tools that keep branch protection (P6.25-P6.61): the table in tests/README.md is whole and
true, and what no other test answers is answered here.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mergeq.core.protection import Kind
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.protecting import disable_all
from tests.conftest import FILES, Mergeq
from tests.shell.test_landing import hits
from tests.shell.test_protect_cli import Desk
from tests.shell.test_reconcile import ENFORCED, OBSERVED, Protected
from tests.web.test_webhooks import send

TESTS = Path(__file__).parents[1]
ROW = re.compile(r"^\| (P6\.\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TABLE = ROW.findall((TESTS / "README.md").read_text(encoding="utf-8"))
WHOLE = """
branch-protection:
  orgs:
    acme:
      protect: true
      enforce_admins: true
      include: ['^main$', '^release-']
      repos: {rocket: {%s}}
mergeq:
  protection: {mode: enforce}
"""


@pytest.fixture
def desk(github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock) -> Callable[[str], Desk]:
    return lambda config: Desk(start_mergeq(config), github, clock)


# The table


def told_by(test: str) -> str:
    """What a test says of itself, its docstring."""
    file, _, name = test.partition("::")
    found = [one for one in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(one, ast.FunctionDef)]
    return next(ast.get_docstring(one) or "" for one in found if one.name == name)


def cited(letter: str) -> set[int]:
    """The numbers that any test names, of those that begin so."""
    number = re.compile(rf"\b{re.escape(letter)}(\d+)\b")
    return {int(one) for file in TESTS.rglob("test_*.py") for one in number.findall(file.read_text(encoding="utf-8"))}


def test_every_complaint_has_its_row_in_order() -> None:
    assert [number for number, *_ in TABLE] == [f"P6.{number}" for number in range(25, 62)]


@pytest.mark.parametrize(("number", "held"), [(number, held) for number, _, held in TABLE])
def test_a_row_names_tests_that_name_it(number: str, held: str) -> None:
    tests = re.findall(r"`([^`]+)`", held)

    assert tests
    assert [test for test in tests if not re.search(rf"\b{re.escape(number)}\b", told_by(test))] == []


def test_every_row_of_prows_branchprotector_and_every_defect_of_it_is_answered() -> None:
    assert set(range(1, 173)) - cited("E") == set()
    assert set(range(26, 39)) - cited("P4.") == set()


# What no other test answers


def test_a_branch_without_protection_costs_no_request(desk: Callable[[str], Desk]) -> None:
    """P6.27, P6.28."""
    at = desk(WHOLE % "")
    for number in range(40):
        at.github.world.push("acme/rocket", f"topic-{number}", {"a.txt": f"{number}\n"})

    at.pass_by()

    assert at.rule()
    assert at.rule("topic-1") is None
    assert hits(at.github, "/protection") == 0
    assert hits(at.github, "graphql:Protection") <= 4


def test_a_bots_branch_that_comes_later_is_not_protected_and_a_release_is_at_once(desk: Callable[[str], Desk]) -> None:
    """P6.30."""
    at = desk(WHOLE % "")
    at.pass_by()

    for branch in ("dependabot/npm/left-pad", "release-1"):
        at.github.world.push("acme/rocket", branch, {"a.txt": f"{branch}\n"})
        created = {"ref_type": "branch", "ref": branch, "repository": {"full_name": "acme/rocket", "id": 1}}
        assert send(at.mergeq, "create", created, branch).status_code in {200, 202}
    at.mergeq.work()

    assert at.rule("dependabot/npm/left-pad") is None
    assert at.rule("release-1")


def test_one_branch_that_contradicts_itself_is_told_alone_and_all_others_are_protected(
    desk: Callable[[str], Desk],
) -> None:
    """P6.34."""
    at = desk(WHOLE % "branches: {gh-pages: {protect: false}}")
    at.github.world.push("acme/rocket", "gh-pages", {"index.html": "hello\n"})

    at.pass_by()

    assert at.rule()
    assert at.kinds() == {"acme/rocket:main": Kind.NOTHING, "acme/rocket:gh-pages": Kind.INVALID}
    assert "which requires protect: true" in at.says("plan", "acme/rocket")


def test_what_a_ruleset_demands_is_not_taken_for_no_protection(desk: Callable[[str], Desk]) -> None:
    """P6.46."""
    at = desk(OBSERVED)
    at.github.world.add_ruleset("acme", "everywhere", rules=[{"type": "deletion"}, {"type": "non_fast_forward"}])

    told = at.says("explain", "acme/rocket:main").splitlines()

    assert told[0] == "acme/rocket:main is protected:"
    assert "      demanded by ruleset everywhere of acme" in told


def test_a_plan_for_one_repository_does_not_speak_of_what_is_wrong_with_others(desk: Callable[[str], Desk]) -> None:
    """P6.51."""
    at = desk(WHOLE % "")
    at.github.world.create_repo("acme/launchpad", files=FILES)
    at.pass_by()
    at.github.world.unprotect("acme/launchpad", "main")

    assert at.says("plan", "acme/rocket") == "nothing to do: 1 branch or pattern looked at\n"
    assert "+ main  create, changed on GitHub" in at.says("plan", code=2)


def test_protection_that_is_turned_off_as_a_whole_is_back_at_once(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    """P6.58: no event tells of each rule."""
    at = Protected(start_mergeq(ENFORCED), github, clock)
    at.pass_by()
    disable_all(github.world, github.world.repo("acme/rocket"), "bob")

    at.tells("branch_protection_configuration", "disabled", "bob", "d1", "")
    at.mergeq.work()

    assert at.rule()
    (row,) = at.rows(result="seen")
    assert (row.target, row.by, row.kind) == ("acme/rocket:main", "bob", "delete")
