"""A sandbox in a process of its own, told what to do by lines of JSON: `python -m tests.bench.github`.

Each line is ``{do: NAME, ...}`` with the arguments of one function below; the answer is one line of JSON.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull
from tests.bench.organization import LAST, Kind, found

_PATIENCE = 300.0  # seconds until a landing counts as lost
_LOOK = threading.Event()


def where(github: Sandbox) -> dict[str, str]:
    return {"api": f"{github.url}/api/v3", "token": github.token, "secret": github.webhook_secret}


def plant(github: Sandbox, repos: int, pulls: int, prefix: str, kinds: list[dict[str, Any]]) -> int:
    """Make repositories and pull requests, as many in each."""
    return len(found(github, repos, pulls, [Kind(**kind) for kind in kinds], prefix=prefix, even=True))


def deliver(github: Sandbox, url: str) -> None:
    """Send every event there from now on."""
    github.world.add_hook(url, github.webhook_secret)


def answer_after(github: Sandbox, milliseconds: float) -> None:
    """Let every answer of the API take that long."""
    github.world.faults.add("http.slow", times=None, args={"ms": milliseconds})


def end(github: Sandbox, prefix: str, *, over: float = 0.0) -> list[list[float]]:
    """The last context of each pull request becomes green, one after another over so many seconds. For each that
    landed: seconds from when its status was there, and from when the webhook about it was sent.
    """
    pulls, posted = _pulls(github, prefix), {}
    started = time.monotonic()
    for index, pull in enumerate(pulls):
        _LOOK.wait(max(started + over * index / len(pulls) - time.monotonic(), 0.0))
        posted[pull.id] = github.world.now()
        github.world.set_status(pull.repo, pull.head_sha, context=LAST, state="success")
    return [_span(github, pull, posted[pull.id]) for pull in pulls if _landed(pull)]


def landed_at(github: Sandbox, prefix: str) -> float:
    """When the last of them landed, in seconds since the epoch, once all have."""
    return max(_landed(pull) or float("inf") for pull in _pulls(github, prefix))


def hits(github: Sandbox) -> dict[str, int]:
    return github.hits


def _pulls(github: Sandbox, prefix: str) -> list[Pull]:
    repos = (repo for repo in github.world.repos() if repo.full_name.startswith(prefix))
    pulls = [pull for repo in repos for pull in repo.pulls.values()]
    return sorted(pulls, key=lambda pull: (pull.number, pull.id))


def _landed(pull: Pull) -> float | None:
    """When it landed; None if it did not in all that time."""
    for _ in range(int(_PATIENCE / 0.05)):
        if pull.merged_at is not None:
            break
        _LOOK.wait(0.05)
    return pull.merged_at


def _span(github: Sandbox, pull: Pull, posted: float) -> list[float]:
    landed = pull.merged_at or 0.0
    sent = (
        one.delivered_at
        for one in github.world.deliveries
        if one.event == "status" and one.repo == pull.repo and one.payload["sha"] == pull.head_sha
        if one.payload["context"] == LAST and one.payload["state"] == "success"
    )
    return [landed - posted, landed - next(sent, posted)]


_DO: dict[str, Callable[..., Any]] = {
    one.__name__: one for one in (where, plant, deliver, answer_after, end, landed_at, hits)
}


def main() -> None:
    """Do as told until nobody tells any more."""
    with Sandbox() as github:
        github.rates.limit = 1_000_000
        github.serve()
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(_DO[asked.pop("do")](github, **asked)), flush=True)  # noqa: T201 -- the answer


if __name__ == "__main__":
    main()
