"""The table of GitHub's quirks in tests/README.md is whole and true, and its tests are counted."""

import re
from pathlib import Path

import pytest

from mergeq.sandbox.faults import FaultId
from tests.quirks import NUMBERS, TABLE, Counter

TESTS = Path(__file__).parents[1]
CATALOGUE = TESTS.parents[1] / "shared" / "spec" / "github.md"
OWED = "sandbox only so far"


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def has(folder: Path, test: str, *also: str) -> bool:
    """Whether a module has a test, and these texts."""
    file, _, name = test.partition("::")
    text = (folder / file).read_text()
    return f"def {name}(" in text and all(one in text for one in also)


def test_every_quirk_has_its_row_in_order() -> None:
    assert tuple(number for number, *_ in TABLE) == NUMBERS


@pytest.mark.parametrize(("number", "switches", "shown", "held"), TABLE)
def test_a_row_names_switches_and_tests_that_exist(number: str, switches: str, shown: str, held: str) -> None:
    assert switches.startswith("data: ") or set() < set(named(switches)) <= set(FaultId)
    assert named(shown)
    assert all(has(TESTS / "sandbox", test) for test in named(shown))
    assert held == OWED or all(has(TESTS, test, f'"{number}"') for test in named(held))


def test_every_switch_is_thrown_in_a_test_of_the_sandbox() -> None:
    thrown = "".join(file.read_text() for file in (TESTS / "sandbox").glob("test_*.py"))

    assert [
        str(switch) for switch in FaultId if f'"{switch}"' not in thrown and f"FaultId.{switch.name}" not in thrown
    ] == []


def test_the_switches_of_the_catalogue_are_those_of_the_table() -> None:
    if not CATALOGUE.exists():
        pytest.skip("the catalogue of GitHub's quirks is not beside this checkout")
    told = CATALOGUE.read_text(encoding="utf-8").partition("## 8.")[2]
    wanted = {
        number: set(re.findall(r"`([a-z_]+\.[a-z0-9_]+)", switch))
        for number, switch in re.findall(r"^\| (Q\d+) \| .*? \| (.*?) \|", told, re.MULTILINE)
    }

    assert wanted.keys() == set(NUMBERS)
    assert {switch for switches in wanted.values() for switch in switches} <= set(FaultId)
    assert {
        number: wanted[number] - set(named(switches))
        for number, switches, *_ in TABLE
        if wanted[number] - set(named(switches))
    } == {}


def test_what_has_not_run_is_not_asserted() -> None:
    assert Counter().rows()[:2] == [
        {"q": "Q1", "hits": 0, "asserted": False},
        {"q": "Q2", "hits": 0, "asserted": False},
    ]
