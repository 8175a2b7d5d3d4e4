"""The demonstration, watched as a stranger would: what it says is held against its repositories and its GitHub."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import requests

from mergeq import shipped
from tests.journeys.test_processes_together import PATIENCE, children_of, eventually, git, is_alive, run, running

pytestmark = pytest.mark.journey
STAGED = {"acme/rocket", "acme/launchpad"}
UPDATED = {"acme/telemetry"}


class Clones:
    """Clones of the demonstration's repositories, made when first looked into, with every branch and pull request."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder, self._origin = folder, origin

    def ask(self, repo: str, *arguments: str) -> str:
        """What git says in the clone of a repository."""
        clone = self._folder / repo
        if not clone.exists():
            git("clone", "--quiet", "--mirror", f"{self._origin}/{repo}.git", str(clone))
        return git("-C", str(clone), *arguments)

    def tree(self, repo: str, commit: str) -> str:
        return self.ask(repo, "rev-parse", f"{commit}^{{tree}}")

    def is_on(self, repo: str, commit: str, branch: str) -> bool:
        return self.ask(repo, "rev-parse", commit) in self.ask(repo, "rev-list", branch).splitlines()

    def staged(self, repo: str) -> Iterator[tuple[str, list[str]]]:
        """Every staged commit, which is the one that CI tests, and the trees of the steps that lead to it."""
        for tip in self.ask(repo, "for-each-ref", "--format=%(objectname)", "refs/heads/mergeq/").splitlines():
            yield tip, self.ask(repo, "log", "--first-parent", "--format=%T", tip, "--not", "main").splitlines()


def test_the_demo_ends_as_told_and_what_landed_is_the_tree_that_was_tested(tmp_path: Path) -> None:
    done = run("demo", "--once", "--json", "--port", "0", "--state", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    verdict = json.loads(done.stdout)
    jsonschema.validate(verdict, json.loads((shipped("schemas") / "demo.schema.json").read_bytes()))
    assert verdict["ok"] is True
    assert len(verdict["prs"]) >= 18
    assert len({row["pr"].partition("#")[0] for row in verdict["prs"]}) >= 3
    assert [row["pr"] for row in verdict["prs"] if row["outcome"] != row["expected"]] == []
    (rule,) = verdict["rules"]
    assert rule["outcome"] == "repaired"
    assert (rule["before"], rule["loosened"], rule["now"]) == (["ci/test"], [], ["ci/test"])
    clones, proven = Clones(tmp_path / "clones", str(tmp_path / "github")), set()
    for row in verdict["prs"]:
        repo = row["pr"].partition("#")[0]
        if row["outcome"] != "landed":
            assert row["landed_sha"] is None
            continue
        assert clones.is_on(repo, row["landed_sha"], "main")
        assert clones.tree(repo, row["landed_sha"]) == row["landed_tree"]
        if repo in STAGED:
            assert row["tested_tree"] == row["landed_tree"]
            assert any(row["landed_tree"] in trees for _, trees in clones.staged(repo)), row
            proven.add(row["pr"])
    assert len(proven) >= 7


def test_a_stranger_watches_the_demo_looks_into_its_github_and_stops_it(tmp_path: Path) -> None:
    """Nothing is taken from what the demo says of its landings: GitHub is asked over HTTP, and git for the trees."""
    with running("demo", "--port", "0") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        table = []
        while (line := child.stdout.readline()) and "The pages stay up" not in line:
            table.append(line.rstrip())
        assert "The pages stay up" in line, child.stderr.read()
        assert table[-2] == "as expected: 23 stories, 14 landed"
        assert table[1].split() == ["PULL", "REQUEST", "STORY", "HAPPENED", "WHY"]
        assert any(one.startswith("acme/rocket#2 ") and one.endswith("Needs approved label.") for one in table)

        pages = child.stderr.readline().split()[-1]
        github = child.stderr.readline().split()[2]
        clones = Clones(tmp_path, github)
        for repo in (*STAGED, *UPDATED):
            for pull in requests.get(f"{github}/api/v3/repos/{repo}/pulls?state=closed", timeout=PATIENCE).json():
                landed, number = pull["merge_commit_sha"], pull["number"]
                tree = clones.tree(repo, landed)
                if repo in STAGED:
                    tested = [tip for tip, trees in clones.staged(repo) if tree in trees]
                else:
                    head = clones.ask(repo, "rev-parse", f"refs/pull/{number}/head")
                    assert clones.is_on(repo, f"{landed}^1", head), "it was behind the base that it landed on"
                    tested = [head] if clones.tree(repo, head) == tree else []
                assert any(is_green(github, repo, commit) for commit in tested), (repo, number)
        history = requests.get(f"{pages}-history", timeout=PATIENCE).text
        assert "Explain &lt;script&gt;alert(1)&lt;/script&gt; [skip ci]" in history
        assert "<script>alert" not in history
        branch = requests.get(f"{github}/api/v3/repos/acme/guidebook/branches/main", timeout=PATIENCE).json()
        assert branch["protection"]["required_status_checks"]["contexts"] == ["ci/test"]
        audit = pages.removesuffix("/tide") + "/api/protection/audit?repo=acme/guidebook"
        rows = requests.get(audit, timeout=PATIENCE).json()["records"]
        assert [(one["by"], one["result"], one["effect"]) for one in rows] == [
            ("mergeq", "applied", "strengthen"),
            ("oscar", "seen", "weaken"),
            ("mergeq", "applied", "strengthen"),
        ]
        family = children_of(child.pid)
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
        said = child.stderr.read()

        assert "Traceback" not in said
        assert "\x1b" not in said
        assert "acme/rocket#6" in said
        assert eventually(lambda: not {pid for pid in family if is_alive(pid)})


def is_green(github: str, repo: str, commit: str) -> bool:
    """Whether CI has found a commit good, as anybody may read it."""
    api = f"{github}/api/v3/repos/{repo}/commits/{commit}"
    statuses = requests.get(f"{api}/status", timeout=PATIENCE).json()["statuses"]
    runs = requests.get(f"{api}/check-runs", timeout=PATIENCE).json()["check_runs"]
    results = {one["context"]: one["state"] for one in statuses} | {one["name"]: one["conclusion"] for one in runs}
    return results.get("ci/test") == "success"


def test_the_demo_stops_in_the_middle_without_a_table_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running("demo", "--port", "0", "--state", str(tmp_path)) as child:
        assert child.stderr is not None
        assert child.stderr.readline().startswith("the pages")
        family = children_of(child.pid)
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130

        assert child.stdout is not None
        assert child.stdout.read() == ""
        assert child.stderr.read().splitlines()[-1] == "stopped before every story had ended"
        assert eventually(lambda: not {pid for pid in family if is_alive(pid)})


def test_a_part_that_ends_by_itself_is_named_after_what_it_said_last(tmp_path: Path) -> None:
    with running("demo", "--port", "0", "--state", str(tmp_path)) as child:
        assert child.stderr is not None
        assert child.stderr.readline().startswith("the pages")
        assert eventually((log := tmp_path / "mergeq.log").read_text)
        (tick,) = eventually(lambda: [pid for pid in children_of(child.pid) if "tick" in words_of(pid)])

        os.kill(tick, signal.SIGKILL)

        assert child.wait(PATIENCE) == 1
        said = child.stderr.read().splitlines()
        assert said[-1] == "Error: mergeq tick ended by itself (exit -9); its last words are above"
        assert said[-2] in log.read_text().splitlines()


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_without_git_there_is_one_line_and_no_traceback(tmp_path: Path, command: str) -> None:
    done = run(command, "--port", "0", PATH=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: git is missing, and the sandbox's repositories are real; install it: apt-get install git"
    ]


def test_a_configuration_that_names_no_repository_is_not_played(tmp_path: Path) -> None:
    (config := tmp_path / "config.yaml").write_text("tide: {}\n")

    done = run("demo", "--once", "--port", "0", "--config", str(config))

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: no query of this configuration names a repo or an org, so nothing can be played"
    ]


def words_of(pid: int) -> list[str]:
    """The words of how a process was called, however it names itself by now."""
    return " ".join(arguments_of(pid)).split()


def arguments_of(pid: int) -> list[str]:
    """How a process was called; one that has ended was not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1] or [""]
    except OSError:
        return [""]
