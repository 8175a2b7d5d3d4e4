"""Real Prow configurations are rehearsed, and what lands is what their files say, read here a second time."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from mergeq.config import load
from mergeq.config.sample import exact_searches, sample
from mergeq.sandbox import Sandbox
from mergeq.sandbox.rehearsal import Rehearsal
from tests.conftest import Mergeq
from tests.journeys.test_processes_together import run

REAL = Path(__file__).parents[2].parent / "shared" / "prow-configs"
SEVEN = {
    "falcosecurity": "falcosecurity__test-infra/config__backup__aws__prow__config.yaml",
    "kubernetes": "kubernetes__test-infra/config__prow__config.yaml",
    "istio": "istio__test-infra/prow__aws__config.yaml",
    "knative": "knative__infra/prow__config.yaml",
    "kubevirt": "kubevirt__project-infra/github__ci__prow-deploy__kustom__base__configs__current__config__config.yaml",
    "metal3-io": "metal3-io__project-infra/prow__config__config.yaml",
    "tektoncd": "tektoncd__plumbing/prow__control-plane__config.yaml",
}

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not REAL.is_dir(), reason="the real Prow configurations are not beside this checkout"),
]


@pytest.mark.parametrize("name", ["kubernetes", pytest.param("falcosecurity", marks=pytest.mark.soak)])
def test_a_real_prow_configuration_is_rehearsed(tmp_path: Path, name: str) -> None:
    """What the processes add to what follows here for all of them."""
    config = str(REAL / SEVEN[name])

    done = run("demo", "--once", "--json", "--port", "0", "--prs", "20", "--state", str(tmp_path), "--config", config)

    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert len(verdict["prs"]) == 20
    assert {row["outcome"] for row in verdict["prs"]} == {"landed", "open"}


@pytest.mark.parametrize(
    "name", [*[*SEVEN][:2], *(pytest.param(name, marks=pytest.mark.soak) for name in [*SEVEN][2:])]
)
def test_what_lands_is_what_the_file_itself_asks_for(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], name: str
) -> None:
    """The judge is the raw YAML against GitHub's REST: nothing of mergeq, nothing that the rehearsal believes."""
    file = REAL / SEVEN[name]
    config = load([file])
    rehearsal = Rehearsal(github, sample(config, 20), exact_searches(config))
    rehearsal.open()
    prow = yaml.load(file.read_text(), LastAnchorLoader)  # noqa: S506 -- a SafeLoader

    start_mergeq(file.read_text()).sweep_and_work(minutes=4)

    landed, verdict = {}, rehearsal.verdict()
    assert verdict["ok"] is True
    assert {row["outcome"] for row in verdict["prs"]} == {"landed", "open"}
    with requests.Session() as rest:
        rest.headers["Authorization"] = f"token {github.token}"
        for row in verdict["prs"]:
            repo, _, number = row["pr"].partition("#")
            api = f"{github.url}/api/v3/repos/{repo}"
            pull = rest.get(f"{api}/pulls/{number}").json()
            reviews = rest.get(f"{api}/pulls/{number}/reviews").json()
            reports = rest.get(f"{api}/commits/{pull['head']['sha']}/status").json()["statuses"]
            wanted = any(admits(query, pull, reviews) for query in prow["tide"]["queries"])
            green = is_green(prow, repo, pull["base"]["ref"], {one["context"]: one["state"] for one in reports})
            assert pull["merged"] is (wanted and green), (row, wanted, green)
            landed[row["pr"]] = pull["merged"]
    assert len(landed) == 20
    assert set(landed.values()) == {True, False}


class LastAnchorLoader(yaml.SafeLoader):
    """YAML as Go reads it: an anchor's name may be given again."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(getattr(event, "anchor", None), None)
        return super().compose_node(parent, index)


def admits(query: dict[str, Any], pull: dict[str, Any], reviews: list[dict[str, Any]]) -> bool:
    """Whether a query of the file asks for no more than a pull request has (T1.11-T1.19)."""
    repo, base = pull["base"]["repo"]["full_name"], pull["base"]["ref"]
    labels = {label["name"] for label in pull["labels"]}
    in_org = repo.split("/")[0] in (query.get("orgs") or ()) and repo not in (query.get("excludedRepos") or ())
    return all(
        (
            in_org or repo in (query.get("repos") or ()),
            all(labels & set(wanted.split(",")) for wanted in query.get("labels") or ()),
            not labels & set(query.get("missingLabels") or ()),
            base in (query.get("includedBranches") or (base,)),
            base not in (query.get("excludedBranches") or ()),
            query.get("author") in (None, "", pull["user"]["login"], f"{pull['user']['login']}[bot]"),
            query.get("milestone") in (None, "", (pull["milestone"] or {}).get("title")),
            not query.get("reviewApprovedRequired") or any(review["state"] == "APPROVED" for review in reviews),
        )
    )


def is_green(prow: dict[str, Any], repo: str, base: str, reports: dict[str, str]) -> bool:
    """Whether everything that the file requires was reported, and all that counts is green (T4)."""
    levels = list(levels_of(prow["tide"].get("context_options"), repo, base))
    required = {name for level in levels for name in level.get("required-contexts") or ()}
    if last(levels, "from-branch-protection"):
        guarded = list(levels_of(prow.get("branch-protection"), repo, base))
        if last(guarded, "protect"):
            checks = [level.get("required_status_checks") or {} for level in guarded]
            required |= {name for check in checks for name in check.get("contexts") or ()}
    optional = {name for level in levels for name in level.get("optional-contexts") or ()}
    patterns = [pattern for level in levels for pattern in level.get("optional-regex-contexts") or ()]
    judged = {
        name
        for name in reports.keys() - {"tide"}
        if name in required
        or not (name in optional or any(re.search(p, name) for p in patterns) or last(levels, "skip-unknown-contexts"))
    }
    return all(reports.get(name) == "success" for name in required | judged)


def levels_of(section: dict[str, Any] | None, repo: str, base: str) -> Iterator[dict[str, Any]]:
    """What the file says for everybody, for the org, for the repository and for the branch."""
    level = section or {}
    yield level
    org, name_of_repo = repo.split("/")
    for kind, name in (("orgs", org), ("repos", name_of_repo), ("branches", base)):
        level = (level.get(kind) or {}).get(name) or {}
        yield level


def last(levels: list[dict[str, Any]], key: str) -> object:
    """What the narrowest level says that says anything."""
    return next((level[key] for level in reversed(levels) if level.get(key) is not None), None)
