"""How soon, how small and how broad: real processes of mergeq, with a sandbox in another."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import requests
from rq import Worker

from mergeq import jobs
from mergeq.bootstrap import Services, services
from mergeq.config import Settings
from mergeq.core.pull import Branch
from mergeq.processes import EmbeddedRedis
from tests.bench.frame import Bench, Measured, tell
from tests.bench.organization import KINDS, READY_BUT_FOR_LAST, Kind
from tests.bench.processes import GitHub, cpu_of, environment, run, until, worker
from tests.bench.virtual import told
from tests.conftest import CONFIG, READY

_PULLS, _REPOS = 200, 50
_OVER = 120.0  # seconds over which they are spread
_PAGES = ("tide", "tide.json", "api/pools", "metrics", "tide-history")


@cache
def _reactions(share: float) -> tuple[list[list[float]], list[list[float]], str]:
    """The spans of pull requests that become green one after another, and all at once; what these took of the CPU."""
    pulls, repos = max(2, round(_PULLS * share)), max(1, round(_REPOS * share))
    with TemporaryDirectory(prefix="mergeq-bench-") as folder, GitHub() as github:
        where = github.ask("where")
        for prefix in ("acme/spread", "acme/burst"):
            github.ask("plant", repos=repos, pulls=pulls, prefix=prefix, kinds=_waiting())
        with run(Path(folder) / "mergeq", where, CONFIG) as parts:
            github.ask("deliver", url=f"{parts.page}/webhooks/github")
            parts.until_known(2 * repos)
            tell(f"{2 * pulls} pull requests wait for their last context")
            spread = github.ask("end", prefix="acme/spread", over=_OVER * share)
            tell(f"one after another: {_in_words(spread)}")
            before = {**parts.cpu(), "GitHub": cpu_of(github.pid)}
            burst = github.ask("end", prefix="acme/burst")
            after = {**parts.cpu(), "GitHub": cpu_of(github.pid)}
            spent = {name: after[name] - before[name] for name in sorted(after)}
            cores = os.cpu_count() or 1
            used = ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items())
            used += f", which {cores} cores need {sum(spent.values()) / cores:.1f} s for if nobody ever waits"
            tell(f"all at once: {_in_words(burst)}; CPU seconds: {used}")
    assert len(spread) == len(burst) == pulls
    return spread, burst, used


def _polled() -> list[list[float]]:
    """The same without webhooks, of fewer pull requests."""
    pulls, repos = _PULLS // 5, _REPOS // 5
    with TemporaryDirectory(prefix="mergeq-bench-") as folder, GitHub() as github:
        github.ask("plant", repos=repos, pulls=pulls, prefix="acme/polled", kinds=_waiting())
        with run(Path(folder) / "mergeq", github.ask("where"), CONFIG) as parts:
            parts.until_known(repos)
            spans: list[list[float]] = github.ask("end", prefix="acme/polled", over=_OVER / 2)
    tell(f"without webhooks: {_in_words(spans)}")
    return spans


@cache
def _waiting() -> list[dict[str, Any]]:
    """Pull requests that wait for their last context."""
    return _as_json(told([READY_BUT_FOR_LAST]))


def _as_json(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    return [asdict(kind) for kind in kinds]


def _in_words(spans: list[list[float]]) -> str:
    posted, sent = ([span[which] for span in spans] for which in (0, 1))
    return (
        f"{len(spans)} landed, half within {median(posted):.2f} s, 95 % within {_p95(posted):.2f} s, all within "
        f"{max(posted):.2f} s of their last status; 95 % within {_p95(sent):.2f} s of the webhook about it"
    )


def _p95(values: list[float]) -> float:
    """What 95 of 100 do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def react_p95(share: float) -> Measured:
    """Pull requests become green one after another: from the webhook to the landing."""
    spread, *_ = _reactions(share)
    said = f"In {_REPOS * share:g} repositories, over {_OVER * share:g} s: {_in_words(spread)}"
    polled = f" Polling every minute instead: {_in_words(_polled())}." if share == 1.0 else ""
    return Measured(_p95([sent for _, sent in spread]), f"{said}.{polled}")


def react_burst_p95(share: float) -> Measured:
    """All pull requests become green at once: from the moment that they are to the landing."""
    _, burst, used = _reactions(share)
    return Measured(
        _p95([posted for posted, _ in burst]),
        f"In {_REPOS * share:g} repositories at once: {_in_words(burst)}. CPU seconds: {used}.",
    )


@cache
def _memory(share: float) -> tuple[str, dict[str, float]]:
    """The most that a process of each part holds while it learns an organization and shows it, in megabytes."""
    repos, pulls = max(1, round(1000 * share)), max(1, round(5000 * share))
    peaks, sums = dict[str, float](), dict[str, float]()
    with TemporaryDirectory(prefix="mergeq-bench-") as folder, GitHub() as github:
        github.ask("plant", repos=repos, pulls=pulls, prefix="acme/part", kinds=_as_json(told(KINDS)))
        with run(Path(folder) / "mergeq", github.ask("where"), CONFIG) as parts:
            github.ask("deliver", url=f"{parts.page}/webhooks/github")

            def look() -> None:
                for part, (largest, held) in parts.memory().items():
                    peaks[part] = max(peaks.get(part, 0.0), largest)
                    sums[part] = max(sums.get(part, 0.0), held)

            started = time.monotonic()
            parts.until_known(repos, look)
            seconds = time.monotonic() - started
            for page in _PAGES:
                assert requests.get(f"{parts.page}/{page}", timeout=60).status_code == 200
                look()
    said = f"{repos} repositories with {pulls} open pull requests, all known after {seconds:.0f} s; its pages were read"
    most, held = (", ".join(f"{part} {mb:.0f}" for part, mb in sorted(one.items())) for one in (peaks, sums))
    tell(f"{said}: {most} MB")
    together = "All processes of each together, what they share counted once (web: three, worker: four at most)"
    return f"{said}. The largest resident set of a process of each: {most} MB. {together}: {held} MB", peaks


_LIMITS = {"web": 90, "worker": 120, "redis": 100}


def memory(share: float) -> Measured:
    """How much of what it may hold is held by the part that is nearest to its limit."""
    said, peaks = _memory(share)
    limits = ", ".join(f"{part} {limit}" for part, limit in _LIMITS.items())
    return Measured(max(peaks[part] / limit for part, limit in _LIMITS.items()), f"{said}. Limits: {limits} MB.")


def _held(part: str, share: float) -> Measured:
    said, peaks = _memory(share)
    return Measured(peaks[part], f"{said}.")


_CREWS = (1, 2, 4)


def _are_idle(ready: Services, crew: int) -> bool:
    """Whether so many workers are there, and none has anything to do."""
    return [one.get_state() for one in Worker.all(ready.queue.connection)] == ["idle"] * crew


def scale_workers(share: float) -> Measured:
    """Twice as many workers land the same twice as soon, on branches that have nothing to do with each other."""
    branches, seconds = max(1, round(40 * share)), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-bench-")))
        (folder / "config.yaml").write_text(CONFIG)
        redis_url = stack.enter_context(EmbeddedRedis(folder / "redis")).url
        github = stack.enter_context(GitHub())
        where = github.ask("where")
        for crew in _CREWS:
            github.ask(
                "plant", repos=branches, pulls=branches, prefix=f"acme/for-{crew}", kinds=_as_json([Kind(READY)])
            )
        github.ask("answer_after", milliseconds=100)
        ready = services(Settings.from_environment({**environment(folder, where), "MERGEQ_REDIS_URL": redis_url}))
        stack.callback(ready.queue.connection.close)
        ready.store.found(ready.now())  # no timer finds out here that no earlier store was lost
        for crew in _CREWS:
            for _ in range(crew - len(Worker.all(ready.queue.connection))):
                stack.enter_context(worker(folder, where, redis_url))
            until(partial(_are_idle, ready, crew))
            started = ready.now()
            jobs.look_at(ready, [Branch("acme", f"for-{crew}-{index}", "main") for index in range(branches)])
            seconds.append(github.ask("landed_at", prefix=f"acme/for-{crew}") - started)
            until(partial(_are_idle, ready, crew))
            tell(f"{crew} at work: {branches} landings in {seconds[-1]:.1f} s")
    faster = [before / after for before, after in pairwise(seconds)]
    said = ", ".join(f"{crew}: {taken:.1f} s" for crew, taken in zip(_CREWS, seconds, strict=True))
    return Measured(
        min(faster),
        f"{branches} branches, a pull request to land on each, GitHub answering after 100 ms. Workers: {said}; each "
        f"doubling {' and '.join(f'{one:.2f}' for one in faster)} times as fast; two cores for GitHub and all.",
    )


BENCHES: tuple[Bench, ...] = (
    Bench("react_p95", "s", react_p95, limit=0.5),
    Bench("react_burst_p95", "s", react_burst_p95, limit=6.0),
    Bench("memory", "of the limit", memory, limit=1),
    *(Bench(f"memory_{part}", "MB", partial(_held, part), limit=limit) for part, limit in _LIMITS.items()),
    Bench("scale_workers", "-fold", scale_workers, least=1.8),
)
