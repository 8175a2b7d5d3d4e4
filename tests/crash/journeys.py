"""Small worlds in which mergeq has something to do, and what is to have come of it in the end."""

from collections.abc import Callable
from dataclasses import dataclass

from mergeq.sandbox import CiConfig, Sandbox
from mergeq.sandbox.records import Pull

REPO, BRANCH, CONTEXT = "acme/rocket", "main", "ci/test"
READY = ("lgtm", "approved")
_CI_SECONDS = 30.0
_FILES = {"README.md": "# Rocket\n", "ci.sh": "! grep -q BROKEN *.txt\n", "engine.txt": "one engine\n"}
_CONFIG = """
tide:
  queries:
    - orgs: [acme]
      labels: [lgtm, approved]
  squash_label: tide/squash
  context_options: {{required-contexts: [ci/test]}}
mergeq: {{queue: {{{queue}}}}}
"""


@dataclass(frozen=True, slots=True)
class Journey:
    """A world to be made, with its configuration. Of each group in `lands` exactly one pull request has landed in the
    end; the others are open then. `is_tested`: nothing lands whose tree was not tested.
    """

    name: str
    queue: str
    make: Callable[[Sandbox], None]
    lands: tuple[tuple[int, ...], ...]
    is_tested: bool = True

    @property
    def config(self) -> str:
        return _CONFIG.format(queue=self.queue)


def start(github: Sandbox, journey: Journey) -> None:
    """Make the world of a journey."""
    github.world.create_repo(REPO, files=_FILES, ci=CiConfig(CONTEXT, delay=_CI_SECONDS))
    journey.make(github)
    github.settle()


def _ready(github: Sandbox, title: str, files: dict[str, str], *labels: str) -> Pull:
    return github.world.open_pull(REPO, title=title, files=files, labels=(*READY, *labels))


def _one(github: Sandbox) -> None:
    _ready(github, "Add fins", {"fins.txt": "four\n"})
    github.world.push(REPO, BRANCH, {"elsewhere.txt": "x\n"})


def _three(github: Sandbox) -> None:
    for number, labels in enumerate([(), ("tide/squash",), ()], start=1):
        _ready(github, f"Part {number}", {f"part{number}.txt": "x\n"}, *labels)


def _three_one_red(github: Sandbox) -> None:
    """The first two are green alone, and red together."""
    _ready(github, "Use the engine", {"ci.sh": "! test -f a -a -f b\n", "a": "1\n"})
    _ready(github, "Drop the engine", {"b": "2\n"})
    _ready(github, "Add fins", {"fins.txt": "four\n"})


def _behind(github: Sandbox) -> None:
    _ready(github, "Add fins", {"fins.txt": "four\n"})
    _ready(github, "Add wings", {"wings.txt": "two\n"})
    github.world.push(REPO, BRANCH, {"elsewhere.txt": "x\n"})


def _conflicting(github: Sandbox) -> None:
    _ready(github, "Two engines", {"engine.txt": "two\n"})
    _ready(github, "Three engines", {"engine.txt": "three\n"})
    _ready(github, "Fins", {"fins.txt": "four\n"})


_STAGING = "retest: staging, landing: pull-request, staging: {keep: 2h}"

JOURNEYS = {
    one.name: one
    for one in (
        Journey("head", "retest: head", _three, ((1,), (2,), (3,)), is_tested=False),
        Journey("alone", _STAGING, _one, ((1,),)),
        Journey("batch", _STAGING, _three, ((1,), (2,), (3,))),
        Journey("red", _STAGING, _three_one_red, ((1, 2), (3,))),
        Journey("forward", _STAGING.replace("pull-request", "fast-forward"), _behind, ((1,), (2,))),
        Journey("update", "retest: update", _behind, ((1,), (2,))),
        Journey("conflict", _STAGING, _conflicting, ((1, 2), (3,))),
    )
}
