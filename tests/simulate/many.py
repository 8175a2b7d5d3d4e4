"""Many seeds at once, in several processes, each with a Redis of its own."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from tempfile import TemporaryDirectory

from mergeq.processes import EmbeddedRedis
from tests.simulate.laws import Broken
from tests.simulate.run import fast_folder, run

_server: list[str] = []  # the URL of this process's Redis


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one seed: how many pull requests landed and of how many writes, and the laws that were broken."""

    seed: int
    landed: int
    outcomes: dict[str, int]
    broken: tuple[str, ...]
    tale: tuple[str, ...]


def seeds_of(text: str) -> list[int]:
    """``7``, ``1-200`` and ``1-20,31`` as numbers; raises ValueError."""
    spans = (part.partition("-") for part in text.split(","))
    return [seed for first, _, last in spans for seed in range(int(first), int(last or first) + 1)]


def tell(seed: int, steps: int) -> Told:
    """Let one seed go by."""
    try:
        simulation = run(seed, steps, _server[-1])
    except Broken as broken:
        return Told(seed, 0, {}, broken.laws, tuple(broken.tale))
    outcomes = Counter(record.outcome.value for record in simulation.records)
    landed = sum(len(landing.numbers) for landing in simulation.laws.landings)
    return Told(seed, landed, dict(sorted(outcomes.items())), (), tuple(simulation.tale))


def _told(asked: tuple[int, int]) -> Told:
    return tell(*asked)


def _settle(urls: "Queue[str]") -> None:
    _server.append(urls.get())


def tell_all(seeds: Sequence[int], steps: int, processes: int) -> Iterator[Told]:
    """Let all seeds go by, each process with a Redis of its own; in the order in which they end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-simulate-", dir=fast_folder())))
        servers = [stack.enter_context(EmbeddedRedis(folder / str(number))) for number in range(processes)]
        context = get_context("spawn")
        urls: Queue[str] = context.Queue()
        for server in servers:
            urls.put(server.url)
        pool = stack.enter_context(context.Pool(processes, _settle, (urls,)))
        yield from pool.imap_unordered(_told, [(seed, steps) for seed in seeds])
