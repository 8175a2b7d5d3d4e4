"""The benches themselves: each works, and what they write is what readers of it expect. Nothing is timed here."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.bench import reaction
from tests.bench.areas import BENCHES
from tests.bench.frame import Bench, Figure, Measured, results, table, take

FOLDER = Path(__file__).parent


IN_SOAK = pytest.mark.skipif("MERGEQ_JUDGE_EVERY_ANSWER" not in os.environ, reason="half a minute; in make soak")


_LONG = {
    *("runs_per_landing", "landings_per_ci_time", "slope", "idle_calls", "idle_points", "sandbox_rate"),
    *("calls_per_landing", "calls_per_landing_batch", "calls_per_landing_pushed", "protection_points"),
}


def grouped(bench: Bench) -> ParameterSet:
    """Figures that one run gives are taken in one process."""
    starts_processes = bench in reaction.BENCHES
    group = pytest.mark.xdist_group(f"bench {starts_processes}")
    takes_long = starts_processes or bench.id in _LONG
    return pytest.param(bench, id=bench.id, marks=[group, IN_SOAK] if takes_long else [group])


@pytest.mark.parametrize("bench", [grouped(bench) for bench in BENCHES])
def test_every_figure_can_be_taken(bench: Bench) -> None:
    figure = take(replace(bench, limit=None, least=None), share=0.002)

    assert figure.value > 0 or bench.id == "idle_calls"
    assert figure.ok
    assert figure.how


def test_ids_are_given_once() -> None:
    assert len({bench.id for bench in BENCHES}) == len(BENCHES)


def test_a_figure_above_its_limit_is_not_ok() -> None:
    bench = Bench("x", "s", lambda _: Measured(2.0, "counted"), limit=1.0)

    assert not take(bench).ok
    assert take(replace(bench, limit=2.0)).ok


def test_a_figure_below_the_least_is_not_ok() -> None:
    bench = Bench("x", "-fold", lambda _: Measured(1.5, "counted"), least=1.8)

    assert not take(bench).ok
    assert take(replace(bench, least=1.5)).ok
    assert "| `x` | 1.5 -fold | ≥ 1.8 | **no** |" in table([asdict(take(bench))], [bench])


def test_figures_that_were_not_taken_again_are_kept() -> None:
    old, new = Figure("a", 1.0, "s", None, ok=True, how="once"), Figure("b", 2.0, "s", 1.0, ok=False, how="now")

    found = results([new], [asdict(old), asdict(replace(new, value=9.0))])

    assert found == [asdict(old), asdict(new)]
    assert "| `b` | 2 s | 1 | **no** | - | now |" in table(found, BENCHES)


def test_what_is_written_down_has_every_figure_in_the_shape_that_readers_expect() -> None:
    written = json.loads((FOLDER / "results.json").read_text())

    assert [entry["id"] for entry in written] == [bench.id for bench in BENCHES]
    for entry, bench in zip(written, BENCHES, strict=True):
        assert set(entry) == {"id", "value", "unit", "limit", "ok", "how"}
        assert (entry["unit"], entry["limit"]) == (bench.unit, bench.bound)
        assert entry["ok"] == bench.keeps(entry["value"])
    assert (FOLDER / "RESULTS.md").read_text() == table(written, BENCHES)
