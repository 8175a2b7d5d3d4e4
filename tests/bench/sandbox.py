"""What the offline GitHub costs that tests and demo run on: requests that are answered in process."""

from collections.abc import Callable
from typing import Any

import requests

from mergeq.github import documents
from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter
from tests.bench.frame import Bench, Measured, Timing, timed

_PULLS = 25
_BASE = "http://sandbox.test"
_REPO = f"{_BASE}/repos/acme/rocket"


def sandbox_rate(share: float) -> Measured:
    """Requests in a second of CPU, as many of each kind, through the adapter that needs no port."""
    times = max(1, round(60 * share))
    with Sandbox(clock=ManualClock()) as github, requests.Session() as session:
        github.rates.limit = 10**9
        github.world.create_repo("acme/rocket", files={"README.md": "x\n"}, ci=None)
        heads = []
        for number in range(_PULLS):
            pull = github.world.open_pull("acme/rocket", title=f"Part {number}", files={f"{number}.txt": "x\n"})
            github.world.set_status("acme/rocket", pull.head_sha, context="ci/test")
            heads.append(pull.head_sha)
        session.mount(_BASE, WsgiAdapter(github.app))
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {github.token}"

        def ask(verb: str, address: str, body: object = None) -> Any:
            answer = session.request(verb, address, json=body)
            if answer.status_code >= 400 or "errors" in answer.json():
                raise RuntimeError(f"{verb} {address}: {answer.text}")
            return answer.json()

        ids = [pull["node_id"] for pull in ask("GET", f"{_REPO}/pulls")]
        page = {"query": documents.PULLS, "variables": {"ids": ids}}
        green = {"state": "success", "context": "ci/test"}
        kinds: dict[str, Callable[[int], object]] = {
            "GET pull": lambda index: ask("GET", f"{_REPO}/pulls/{index % _PULLS + 1}"),
            "POST status": lambda index: ask("POST", f"{_REPO}/statuses/{heads[index % _PULLS]}", green),
            f"a page of {_PULLS} pull requests": lambda _: ask("POST", f"{_BASE}/graphql", page),
        }
        for each in kinds.values():
            each(0)
        spent = {kind: _spent(each, times, max(1, round(5 * share))) for kind, each in kinds.items()}
    rates = ", ".join(f"{kind} {times / timing.seconds:.3g}" for kind, timing in spent.items())
    return Measured(
        len(kinds) * times / sum(timing.seconds for timing in spent.values()),
        f"{rates}; {times} of each: {' / '.join(map(str, spent.values()))}.",
    )


def _spent(each: Callable[[int], object], times: int, repeats: int) -> Timing:
    def work() -> None:
        for index in range(times):
            each(index)

    return timed(lambda: work, repeats)


BENCHES: tuple[Bench, ...] = (Bench("sandbox_rate", "1/s", sandbox_rate),)
