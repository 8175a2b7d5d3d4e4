"""Small worlds in which mergeq has something to do, and what is to have come of it in the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mergeq.sandbox import CiConfig, Sandbox
from mergeq.sandbox.clock import MANUAL_START, iso
from mergeq.sandbox.records import Pull

Rule = Mapping[str, Any]
"""What a rule demands, of the fields that are looked at: `contexts` sorted, `reviews`, `admins`."""
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
mergeq:
  queue: {{{queue}}}
"""
ASKED_LATER, _EXEMPT = 240.0, 840.0  # seconds from the beginning
_ASKED = """\
  protection:
    mode: enforce
    backend: auto
    period: 30m
    exemptions:
      - {id: rel-1, target: "acme/rocket:next", until: "UNTIL", owner: jo, reason: fix, patch: {enforce_admins: false}}
branch-protection:
  orgs:
    acme:
      repos:
        rocket:
          branches:
            main: {protect: true, enforce_admins: false, required_status_checks: {contexts: [ci/test]}}
            ruled: {protect: true, enforce_admins: true, required_status_checks: {contexts: [ci/test]}}
            next: {protect: true, enforce_admins: true, required_status_checks: {contexts: [ci/test]}}
""".replace("UNTIL", iso(MANUAL_START + _EXEMPT))
_MORE = """\
            old: {protect: true, required_pull_request_reviews: {required_approving_review_count: 1}}
            gone: {protect: false}
"""
_ASKED_MORE = (
    "[ci/test, ci/more]".join(_ASKED.replace("admins: false, r", "admins: true, r").rsplit("[ci/test]", 1)) + _MORE
)


@dataclass(frozen=True, slots=True)
class Journey:
    """A world to be made, with its configuration. Of each group in `lands` exactly one pull request has landed in the
    end; the others are open then. `is_tested`: nothing lands whose tree was not tested. `asked` is what is configured
    of protection, at first and later; `rules` are in force in the end, by pattern. `acts` are what others do,
    each after so many seconds. All is done `soon`, in seconds, unless it depends on the hourly sweep.
    """

    name: str
    queue: str
    make: Callable[[Sandbox], None]
    lands: tuple[tuple[int, ...], ...]
    is_tested: bool = True
    asked: tuple[str, ...] = ("",)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    soon: float = 1200.0
    acts: tuple[tuple[float, Callable[[Sandbox], None]], ...] = ()

    @property
    def configs(self) -> list[str]:
        """Its configuration, and the one that takes its place later."""
        return [_CONFIG.format(queue=self.queue) + asked for asked in self.asked]


def start(github: Sandbox, journey: Journey) -> None:
    """Make the world of a journey."""
    github.world.create_repo(REPO, files=_FILES, ci=CiConfig(CONTEXT, delay=_CI_SECONDS))
    journey.make(github)


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


def _guarded(github: Sandbox) -> None:
    """One lands, one never does; rules are there already that are too weak, too strong, or not to be."""
    for name in ("next", "old", "gone", "ruled"):
        github.world.create_ref(REPO, f"refs/heads/{name}", str(github.world.repo(REPO).git.tip(BRANCH)))
    github.world.protect(REPO, "next", enforce_admins=False)
    github.world.protect(REPO, "old", ["ci/test", "ci/slow"], 2)
    github.world.protect(REPO, "gone", ["ci/test"])
    github.world.add_ruleset(REPO, "mergeq: ruled", include=["refs/heads/ruled"], rules=[{"type": "deletion"}])
    _ready(github, "Add fins", {"fins.txt": "four\n"})
    github.world.open_pull(REPO, title="Add doubts", files={"doubts.txt": "x\n"})
    github.world.push(REPO, BRANCH, {"elsewhere.txt": "x\n"})


def _late(github: Sandbox) -> None:
    _ready(github, "Add wings", {"wings.txt": "two\n"})


def _loosen(github: Sandbox) -> None:
    github.world.protect(REPO, BRANCH, ["ci/test"], enforce_admins=False, by="ana")


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
        Journey(
            "guarded",
            _STAGING,
            _guarded,
            ((1,), (3,)),
            asked=(_ASKED, _ASKED_MORE),
            rules={
                "main": {"contexts": ["ci/test"], "reviews": None, "admins": True},
                "next": {"contexts": ["ci/more", "ci/test"], "reviews": None, "admins": True},
                "old": {"contexts": None, "reviews": 1, "admins": False},
                "ruled": {"contexts": ["ci/test"]},
            },
            soon=1800.0,
            acts=((180.0, _late), (660.0, _loosen)),
        ),
    )
}
