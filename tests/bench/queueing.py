"""What testing costs: runs for each landing, and landings for the time that CI works, beside what Tide would need."""

from functools import cache
from random import Random

from tests.bench.frame import Bench, Measured
from tests.builders import staging
from tests.core.queueing import LENGTH, Queue

_CHANCES = (0.02, 0.05, 0.10, 0.20)
_SIZES = (3, 5, 8, 13)
_USUAL = 8


def runs_per_landing(share: float) -> Measured:
    """Runs for each that lands, of Tide's at two slots; where that is worst."""
    worst, told = _against_tide(share)
    return Measured(worst[0], f"Runs for each that lands as a share of Tide's at two slots, the worst of these. {told}")


def landings_per_ci_time(share: float) -> Measured:
    """Landings for as long as CI works, of Tide's at two slots; where that is worst."""
    worst, told = _against_tide(share)
    return Measured(worst[1], f"Landings for the time of CI as a share of Tide's at two slots, the worst. {told}")


@cache
def _against_tide(share: float) -> tuple[tuple[float, float], str]:
    """Runs and landings as shares of Tide's, each where it is worst, and all figures in a sentence."""
    runs, landings, said = [], [], []
    for p in _CHANCES:
        size, of_tide = max(((b, _tide(b, p, share)) for b in (*_SIZES, 20, 30)), key=lambda one: one[1])
        best = max((_ours(2, b, p, share) for b in _SIZES), key=lambda one: one[1])
        usual = {slots: _ours(slots, _USUAL, p, share) for slots in (1, 2, 4, 8)}
        runs.append(best[0] / (2 / of_tide))
        landings.append(best[1] / (of_tide / 2))
        more = ", ".join(f"{slots}: {each:.2f} and {per:.2f}" for slots, (each, per) in usual.items())
        said.append(
            f"bad with chance {p}: {best[0]:.2f} runs for each and {best[1]:.2f} landings a run at ours, "
            f"{2 / of_tide:.2f} and {of_tide / 2:.2f} at Tide's with its best size {size}; by slots with batches of "
            f"{_USUAL} {more}"
        )
    how = (
        "An endless queue of independent pull requests whose tests do not lie, decided by the real core, confirming "
        "runs included; Tide as a model of its own: one batch of the oldest and the oldest alone, of which only the "
        "latter leaves when the batch is red. "
    )
    return (max(runs), min(landings)), how + "; ".join(said) + "."


@cache
def _ours(slots: int, size: int, p: float, share: float) -> tuple[float, float]:
    """Runs for each landing, and landings for the time that one run takes."""
    wanted = max(40, round(600 * share))
    queue = Queue(staging(slots=slots, batch_size_limit=size), p, seed=7, waiting=size * slots + 8)
    while len(queue.landed) < wanted:
        queue.turn()
    return queue.started / len(queue.landed), len(queue.landed) / (queue.busy / LENGTH)


@cache
def _tide(size: int, p: float, share: float) -> float:
    """How many Tide lands while a run takes its time."""
    dice = Random(7)
    queue = [dice.random() < p for _ in range(size)]
    landed, rounds = 0, max(200, round(20_000 * share))
    for _ in range(rounds):
        gone = 1 if any(queue) else size
        landed += gone - any(queue[:gone])
        queue = [*queue[gone:], *(dice.random() < p for _ in range(gone))]
    return landed / rounds


BENCHES = (
    Bench("runs_per_landing", "of Tide's", runs_per_landing, limit=1.0),
    Bench("landings_per_ci_time", "of Tide's", landings_per_ci_time, least=1.0),
)
