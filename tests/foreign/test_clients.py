"""Clients written by others against the sandbox as a process: gh, octokit, PyGithub and git."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from github import Auth, Github, GithubException

from tests.foreign.conftest import Place, ran

pytestmark = pytest.mark.foreign
Gh = Callable[..., str]


def test_gh_lists_and_views_pull_requests(gh: Gh) -> None:
    listed = json.loads(gh("pr", "list", "--json", "number,title,headRefName,author"))
    viewed = gh("pr", "view", "1")

    assert [(pull["number"], pull["title"], pull["author"]["login"]) for pull in listed] == [
        (2, "Add a wing", "ana"),
        (1, "Add a window", "ana"),
    ]
    assert "title:\tAdd a window" in viewed
    assert "url:\thttp://github.localhost/acme/rocket/pull/1" in viewed
    assert gh("pr", "diff", "1").endswith("+window\n")


def test_gh_shows_checks(gh: Gh) -> None:
    rows = [
        line.split("\t")[:2]
        for line in gh("pr", "checks", "1", "--watch", "--interval", "1").splitlines()
        if "\t" in line
    ]

    assert ["lint", "pass"] in rows
    assert ["ci/test", "pass"] in rows
    assert json.loads(gh("run", "list", "--json", "databaseId")) == []


def test_gh_edits_reviews_comments_and_merges(gh: Gh, place: Place) -> None:
    gh("pr", "edit", "1", "--add-label", "lgtm", "--title", "Add a big window")
    gh("pr", "review", "1", "--approve", "--body", "fine")
    gh("pr", "comment", "1", "--body", "thank you")
    gh("pr", "merge", "1", "--squash", "--subject", "A window (#1)")
    shown = json.loads(gh("pr", "view", "1", "--json", "state,title,labels,reviews,comments,mergeCommit"))

    assert (shown["state"], shown["title"]) == ("MERGED", "Add a big window")
    assert [label["name"] for label in shown["labels"]] == ["lgtm"]
    assert [review["state"] for review in shown["reviews"]] == ["APPROVED"]
    assert [comment["body"] for comment in shown["comments"]] == ["thank you"]
    assert place.rest("GET", "/commits/main")["commit"]["message"].startswith("A window (#1)")


def test_gh_asks_for_reviews_and_assigns(gh: Gh, place: Place) -> None:
    requests.post(f"{place.url}/_sim/people", json={"people": {"ben": {"teams": ["acme/owners"]}}}, timeout=30)
    gh("pr", "edit", "1", "--add-reviewer", "ben,acme/owners", "--add-assignee", "ben,@me")
    asked = json.loads(gh("pr", "view", "1", "--json", "reviewRequests,assignees"))
    gh("pr", "edit", "1", "--remove-reviewer", "acme/owners", "--remove-assignee", "@me")
    fewer = json.loads(gh("pr", "view", "1", "--json", "reviewRequests,assignees"))
    gh("issue", "create", "--title", "Freeze", "--body", "for now", "--assignee", "ben")
    gh("issue", "edit", "3", "--remove-assignee", "ben", "--title", "Thaw")

    assert [one.get("login") or one["slug"] for one in asked["reviewRequests"]] == ["ben", "acme/owners"]
    assert sorted(one["login"] for one in asked["assignees"]) == ["ben", "mergeq-bot"]
    assert [one["login"] for one in fewer["reviewRequests"]] == ["ben"]
    assert [one["login"] for one in fewer["assignees"]] == ["ben"]
    assert json.loads(gh("issue", "view", "3", "--json", "title,assignees")) == {"title": "Thaw", "assignees": []}


def test_gh_closes_reopens_and_keeps_house(gh: Gh) -> None:
    gh("pr", "close", "2")
    closed = json.loads(gh("pr", "list", "--state", "closed", "--json", "number"))
    gh("pr", "reopen", "2")
    gh("label", "create", "kind/bug", "--color", "ff0000")
    gh("issue", "create", "--title", "Freeze", "--body", "for now", "--label", "kind/bug")

    assert closed == [{"number": 2}]
    assert [issue["title"] for issue in json.loads(gh("issue", "list", "--json", "title"))] == ["Freeze"]
    assert "kind/bug" in gh("label", "list")


def test_gh_asks_the_api_itself(gh: Gh) -> None:
    query = 'query { repository(owner: "acme", name: "rocket") { pullRequests(states: OPEN) { totalCount } } }'

    pages = gh("api", "--paginate", "repos/acme/rocket/pulls?per_page=1", "--jq", ".[].number")
    counted = json.loads(gh("api", "graphql", "-f", f"query={query}"))

    assert pages.split() == ["2", "1"]
    assert counted == {"data": {"repository": {"pullRequests": {"totalCount": 2}}}}


def test_octokit_pages_merges_and_reads_refusals(node: Callable[[str], Any]) -> None:
    said = node("""
    const pulls = await octokit.paginate(octokit.rest.pulls.list, { ...where, per_page: 1 });
    const { data: merged } = await octokit.rest.pulls.merge({ ...where, pull_number: 1, merge_method: "squash" });
    const refused = await octokit.rest.pulls.merge({ ...where, pull_number: 1 }).catch((error) => error);
    const { data: status } = await octokit.rest.repos.createCommitStatus(
      { ...where, sha: merged.sha, state: "success", context: "tide" });
    const { data: file } = await octokit.rest.repos.getContent({ ...where, path: "window.txt" });
    const missing = await octokit.rest.repos.getBranch({ ...where, branch: "nope" }).catch((error) => error);
    console.log(JSON.stringify({
      numbers: pulls.map((pull) => pull.number), merged: merged.merged,
      refused: [refused.status, refused.message], status: status.context,
      text: Buffer.from(file.content, "base64").toString(), missing: missing.status,
    }));
    """)

    assert said["numbers"] == [2, 1]
    assert said["merged"]
    assert said["refused"][0] == 405
    assert "Pull Request is not mergeable" in said["refused"][1]
    assert (said["status"], said["text"], said["missing"]) == ("tide", "window\n", 404)


def test_octokit_asks_graphql_and_gets_errors_beside_data(node: Callable[[str], Any]) -> None:
    said = node("""
    const { repository } = await query(
      `query($n: Int!) { repository(owner: "acme", name: "rocket") { pullRequest(number: $n) { id title } } }`,
      { n: 1 });
    const { addComment } = await query(
      `mutation($id: ID!) { addComment(input: { subjectId: $id, body: "hi" }) { commentEdge { node { body } } } }`,
      { id: repository.pullRequest.id });
    const wrong = await query(`{ repository(owner: "acme", name: "nope") { id } }`).catch((error) => error);
    console.log(JSON.stringify({
      title: repository.pullRequest.title, said: addComment.commentEdge.node.body,
      wrong: [wrong.errors[0].type, wrong.data],
    }));
    """)

    assert said == {"title": "Add a window", "said": "hi", "wrong": ["NOT_FOUND", {"repository": None}]}


@pytest.fixture
def pygithub(place: Place) -> Iterator[Github]:
    with Github(
        auth=Auth.Token(place.token), base_url=f"{place.url}/api/v3", retry=None, seconds_between_writes=None
    ) as client:
        yield client


def test_pygithub_works_as_a_bot_would(pygithub: Github) -> None:
    repo = pygithub.get_repo("acme/rocket")
    first, second = repo.get_pull(1), repo.get_pull(2)
    tree = repo.get_git_tree(first.head.sha)
    made = repo.create_git_commit("Staged", tree, [repo.get_git_commit(first.base.sha)])
    repo.create_git_ref("refs/heads/staging", made.sha)
    second.create_review(event="REQUEST_CHANGES", body="no")
    second.add_to_labels("lgtm")
    hook = repo.create_hook("web", {"url": "http://127.0.0.1:9/", "content_type": "json"}, ["push"])

    assert repo.compare(first.base.sha, made.sha).ahead_by == 1
    assert repo.get_contents("window.txt", ref="staging").decoded_content == b"window\n"  # type: ignore[union-attr]
    assert [review.state for review in second.get_reviews()] == ["CHANGES_REQUESTED"]
    assert [pull.number for pull in repo.get_commit(first.head.sha).get_pulls()] == [1]
    assert [found.number for found in pygithub.search_issues("repo:acme/rocket label:lgtm")] == [2]
    assert repo.get_collaborator_permission("ana") == "write"
    assert [one.id for one in repo.get_hooks()] == [hook.id]
    with pytest.raises(GithubException) as missing:
        repo.get_pull(99)
    assert missing.value.status == 404


@pytest.fixture
def git(place: Place, tmp_path: Path) -> Callable[..., str]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    ours = {
        "GIT_AUTHOR_NAME": "ana",
        "GIT_AUTHOR_EMAIL": "ana@example.com",
        "GIT_COMMITTER_NAME": "ana",
        "GIT_COMMITTER_EMAIL": "ana@example.com",
        "GIT_TERMINAL_PROMPT": "0",
    }

    def run(*arguments: str, code: int = 0) -> str:
        done = ran("git", *arguments, at=tmp_path, **ours)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run("clone", "--quiet", place.url.replace("://", f"://x-access-token:{place.token}@") + "/acme/rocket.git", "work")
    return lambda *arguments, code=0: run("-C", "work", *arguments, code=code)


def test_git_fetches_pull_requests_and_pushes_branches(git: Callable[..., str], place: Place) -> None:
    git("fetch", "--quiet", "origin", "refs/pull/1/head")
    git("merge", "--quiet", "--no-ff", "-m", "Stage", "FETCH_HEAD")
    git("push", "origin", "HEAD:refs/heads/staging")

    assert place.rest("GET", "/branches/staging")["commit"]["sha"] == git("rev-parse", "HEAD").strip()
    assert "deny updating a hidden ref" in git("push", "origin", "HEAD:refs/pull/1/head", code=1)


def test_git_clones_without_files_and_brings_them_when_needed(git: Callable[..., str], place: Place) -> None:
    url = f"{place.url}/acme/rocket.git"
    git("clone", "--quiet", "--filter=blob:none", "--no-checkout", url, "lean")

    missing = git("-C", "lean", "rev-list", "--objects", "--missing=print", "HEAD")
    assert any(line.startswith("?") for line in missing.splitlines())
    assert git("-C", "lean", "show", "HEAD:engine.txt") == "one engine\n"


def test_git_is_told_which_ruleset_refused_its_push(git: Callable[..., str], place: Place) -> None:
    place.rest(
        "POST",
        "/rulesets",
        name="one way in",
        enforcement="active",
        conditions={"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        rules=[{"type": "required_linear_history"}],
    )
    git("fetch", "--quiet", "origin", "refs/pull/1/head")
    git("merge", "--quiet", "--no-ff", "-m", "Merge a window", "FETCH_HEAD")

    said = git("push", "origin", "HEAD:main", code=1)

    assert "remote: error: GH013: Repository rule violations found for refs/heads/main." in said
    assert "! [remote rejected] HEAD -> main (push declined due to repository rule violations)" in said


def test_git_is_told_which_rule_refused_its_push(git: Callable[..., str], place: Place) -> None:
    place.rest(
        "PUT",
        "/branches/main/protection",
        required_status_checks={"strict": False, "contexts": ["ci/other"]},
        enforce_admins=True,
        required_pull_request_reviews=None,
        restrictions=None,
    )
    git("commit", "--quiet", "--allow-empty", "-m", "Straight to main")

    said = git("push", "origin", "HEAD:main", code=1)

    assert "remote: error: GH006: Protected branch update failed for refs/heads/main." in said
    assert 'Required status check "ci/other" is expected.' in said
    assert "! [remote rejected] HEAD -> main (protected branch hook declined)" in said
