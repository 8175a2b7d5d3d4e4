"""How a figure is taken and written down: what a bench is, the clock of those about speed, `results.json`, its table.

A module beside this one has a tuple `BENCHES`; `areas.py` lists the modules.
"""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

REFERENCE_SECONDS = 0.1
"""What `reference` takes on the machine that limits in seconds are meant for, with nothing else on it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value in the unit of its bench, and how it came about in a sentence or two."""

    value: float
    how: str


@dataclass(frozen=True, slots=True)
class Bench:
    """One figure. `measure` is given the share of the whole workload to take, 1.0 being what the figure is about.

    `limit` is the most that the value may be, `least` the least; None and None where nothing is promised. `tide` is the
    same by Tide's Go code.
    """

    id: str
    unit: str
    measure: Callable[[float], Measured]
    limit: float | None = None
    tide: float | None = None
    least: float | None = None

    def keeps(self, value: float) -> bool:
        """Whether a value is what was promised."""
        return (self.limit is None or value <= self.limit) and (self.least is None or value >= self.least)

    @property
    def bound(self) -> float | None:
        """The one figure that was promised, whichever way it binds."""
        return self.limit if self.least is None else self.least


@dataclass(frozen=True, slots=True)
class Figure:
    """One entry of `results.json`; `limit` is what was promised, the most or the least."""

    id: str
    value: float
    unit: str
    limit: float | None
    ok: bool
    how: str


def take(bench: Bench, share: float = 1.0) -> Figure:
    """Measure once. A value is written with three significant digits."""
    found = bench.measure(share)
    value = float(f"{found.value:.3g}")
    return Figure(bench.id, value, bench.unit, bench.bound, bench.keeps(value), found.how)


def tell(text: str) -> None:
    """Say how far a long figure has come."""
    click.echo(f"    … {text}", err=True)


@dataclass(frozen=True, slots=True)
class Timing:
    """The least CPU time in seconds of several repeats, of the work and of the reference loop between them."""

    work: float
    reference: float
    repeats: int

    @property
    def seconds(self) -> float:
        """CPU seconds on the machine that limits are meant for: a ratio, in the unit that people think in."""
        return self.work / self.reference * REFERENCE_SECONDS

    def __str__(self) -> str:
        ratio = f"{self.work / self.reference:.3g} reference loops"
        return f"{self.work:.3g} s of CPU here, {ratio}; least of {self.repeats}"


def timed(prepare: Callable[[], Callable[[], object]], repeats: int = 7) -> Timing:
    """The CPU time of what `prepare` returns, which is made anew for each repeat so that nothing is known before."""
    works, references = [], []
    for _ in range(repeats):
        references.append(_cpu(reference))
        works.append(_cpu(prepare()))
    return Timing(min(works), min(references), repeats)


def reference() -> int:
    """A loop of what the product does most: folding names, looking them up, making small values and keeping them."""
    names = [f"Label/{index}" for index in range(200)]
    wanted = frozenset(name.lower() for name in names[::3])
    found = []
    for start in range(42_000):
        lower = frozenset(map(str.lower, names[start % 100 : start % 100 + 8]))
        have = tuple(sorted(name for name in lower if name in wanted))
        found.append(Measured(len(have), f"{', '.join(have)} of {start}"))
    return len(found)


def _cpu(work: Callable[[], object]) -> float:
    gc.collect()
    before = time.process_time()
    work()
    return time.process_time() - before


def results(figures: Iterable[Figure], kept: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `results.json` holds: the figures, and of what was there before those that were not taken this time."""
    new = {figure.id: asdict(figure) for figure in figures}
    return [*({**one} for one in kept if one["id"] not in new), *new.values()]


def table(entries: Iterable[Mapping[str, Any]], benches: Sequence[Bench]) -> str:
    """The results as Markdown, Tide's own figures beside them."""
    tide = {bench.id: bench.tide for bench in benches}
    way = {bench.id: "≥ " for bench in benches if bench.least is not None}
    rows = [
        f"| `{one['id']}` | {one['value']:g} {one['unit']} | {way.get(one['id'], '')}{_or_dash(one['limit'])} "
        f"| {_OK[one['ok']]} | {_or_dash(tide.get(one['id']))} | {one['how']} |"
        for one in entries
    ]
    return "\n".join([_HEAD, *rows, ""])


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


_OK = {True: "yes", False: "**no**"}
_HEAD = f"""# Results

Written by `make bench`. Values about speed are CPU time in the seconds of one machine: the least of several repeats,
divided by that of a reference loop in the same run, times the {REFERENCE_SECONDS:g} s that the loop takes there. *Tide*
is what its own Go code takes for it, measured once on another machine (AMD EPYC, 2 vCPU, Go 1.27, one goroutine,
one second each): compare orders of magnitude.

| | value | limit | ok | Tide | how |
|---|---|---|---|---|---|"""
