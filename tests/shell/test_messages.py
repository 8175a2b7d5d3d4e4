"""The messages of what lands, and the links of statuses, as GitHub has them in the end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull
from tests.conftest import CONFIG, READY, Mergeq

TEMPLATES = """
  merge_commit_template:
    acme/rocket:
      title: '{{ .Title }} (#{{ .Number }}) [skip ci]'
      body: |
        {{ .Body -}}
        {{- range .GitHub.Labels.Nodes }}
        Label: {{ .Name }}
        {{- end }}
"""
STAGING = "  context_options: {required-contexts: [ci/test]}\nmergeq: {queue: {retest: staging, voided_by_push: []}}\n"
TEMPLATED = CONFIG + TEMPLATES
SAID = "Add fins (#1) (skip ci)\n\nFour of them.\nLabel: lgtm\nLabel: approved"
METHODS = pytest.mark.parametrize("label", ["", "tide/squash"], ids=["merge", "squash"])


def open_pull(github: Sandbox, *labels: str, **changes: object) -> Pull:
    asked: dict[str, object] = {"title": "Add fins", "files": {"fins.txt": "four\n"}, "body": "Four of them."}
    pull = github.world.open_pull("acme/rocket", labels=(*READY, *labels), **{**asked, **changes})  # type: ignore[arg-type]
    github.settle()
    return pull


def move_on(github: Sandbox) -> None:
    """Have heads lack the tip of the base, so that what would land is made to be tested."""
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})


def message_of(github: Sandbox, sha: str | None) -> str:
    return github.world.repo("acme/rocket").git.commit(str(sha)).message.strip()


def staged(github: Sandbox) -> list[str]:
    """The messages of what is staged, from the base on."""
    git = github.world.repo("acme/rocket").git
    (ref,) = [name for name in git.branches() if name.startswith("mergeq/")]
    first, found = git.tip("main"), []
    sha = str(git.tip(ref))
    while sha != first:
        commit = git.commit(sha)
        found.append(commit.message.strip())
        sha = commit.parents[0]
    return found[::-1]


@METHODS
def test_what_lands_says_what_its_template_says(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], label: str
) -> None:
    """T11.79; what silences CI is made harmless in it (Q87)."""
    pull = open_pull(github, *filter(None, [label]))

    start_mergeq(TEMPLATED).sweep_and_work()

    assert message_of(github, pull.merge_commit_sha) == SAID + ("\nLabel: tide/squash" if label else "")


def test_a_template_that_fails_is_left_out_and_the_merge_still_happens(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], capsys: pytest.CaptureFixture[str]
) -> None:
    """T1.46, T11.80."""
    pull = open_pull(github)
    templates = "  merge_commit_template: {acme: {title: '{{ .GitHub.Milestone.Title }}', body: '#{{ .Number }}'}}\n"

    start_mergeq(CONFIG + templates).sweep_and_work()

    assert message_of(github, pull.merge_commit_sha) == "Merge pull request #1 from acme/ana-patch-1\n\n#1"
    assert "the template for the commit title failed: nil pointer evaluating" in capsys.readouterr().err


def test_the_text_is_that_of_the_pull_request_as_it_lands(github: Sandbox, start_mergeq: Callable[..., Mergeq]) -> None:
    pull = open_pull(github)
    mergeq = start_mergeq(CONFIG.replace("missingLabels: [", "missingLabels: [wait, ") + TEMPLATES)
    github.world.add_label(pull, "wait")
    mergeq.sweep_and_work()
    github.world.edit_title(pull, "Add four fins")
    github.world.remove_label(pull, "wait")

    mergeq.sweep_and_work()

    assert message_of(github, pull.merge_commit_sha) == SAID.replace("Add fins", "Add four fins")


def test_without_a_template_github_says_what_it_always_says(github: Sandbox, mergeq: Mergeq) -> None:
    pull = open_pull(github)

    mergeq.sweep_and_work()

    assert message_of(github, pull.merge_commit_sha) == "Merge pull request #1 from acme/ana-patch-1\n\nAdd fins"


@pytest.mark.parametrize("marker", ["", " [skip ci]"], ids=["as GitHub lists them", "with a marker in one of them"])
def test_a_squash_names_who_else_wrote_it(github: Sandbox, start_mergeq: Callable[..., Mergeq], marker: str) -> None:
    """Q87: a commit's own message may carry what silences CI, too."""
    pull = open_pull(github, "tide/squash", title=f"Add fins{marker}")
    github.world.push_to_pull(pull, {"paint.txt": "red\n"}, author="ben", message="Paint them")
    github.settle()

    start_mergeq(CONFIG + "mergeq: {queue: {voided_by_push: []}}\n").sweep_and_work(2)

    said = marker.replace("[skip ci]", "(skip ci)")
    assert message_of(github, pull.merge_commit_sha) == (
        f"Add fins{said} (#1)\n\n* Add fins{said}\n\n* Paint them"
        "\n\n---------\n\nCo-authored-by: ben <ben@users.noreply.github.com>"
    )


@METHODS
@pytest.mark.parametrize("templates", ["", TEMPLATES], ids=["GitHub's text", "a template"])
def test_a_staged_commit_says_what_will_land(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], label: str, templates: str
) -> None:
    """D4."""
    commits = [{"fins.txt": "four\n"}, {"paint.txt": "red\n"}]
    pull = open_pull(github, *filter(None, [label]), commits=commits)
    move_on(github)
    mergeq = start_mergeq(CONFIG + templates + STAGING)
    mergeq.sweep_and_work()
    (said,) = staged(github)
    github.settle()

    mergeq.sweep_and_work()

    assert message_of(github, pull.merge_commit_sha) == said
    assert said.startswith("Add fins (#1) (skip ci)" if templates else ("Add fins (#1)" if label else "Merge pull"))


@pytest.mark.parametrize("landing", ["fast-forward", "pull-request"])
@pytest.mark.parametrize(
    ("templates", "title", "message", "said"),
    [
        (TEMPLATES, "MERGE_MESSAGE", "PR_TITLE", SAID),
        ("", "MERGE_MESSAGE", "PR_TITLE", "Merge pull request #1 from acme/ana-patch-1\n\nAdd fins"),
        ("", "PR_TITLE", "PR_BODY", "Add fins (#1)\n\nFour of them."),
        ("", "PR_TITLE", "BLANK", "Add fins (#1)"),
        (
            "  merge_commit_template: {acme: {title: '{{ .GitHub.Milestone.Title }}', body: '#{{ .Number }}'}}\n",
            "PR_TITLE",
            "PR_BODY",
            "Add fins (#1)\n\n#1",
        ),
    ],
    ids=["templates", "by default", "title and body", "title alone", "a template that fails"],
)
def test_what_lands_says_the_same_whichever_way_it_lands(
    github: Sandbox,
    start_mergeq: Callable[..., Mergeq],
    landing: str,
    templates: str,
    title: str,
    message: str,
    said: str,
) -> None:
    """T1.44-T1.47: a merge names nobody who wrote it too, as GitHub's own does not."""
    repo = github.world.repo("acme/rocket")
    repo.settings = replace(repo.settings, merge_commit_title=title, merge_commit_message=message)
    pull = open_pull(github)
    move_on(github)
    mergeq = start_mergeq(CONFIG + templates + STAGING.replace("staging, ", f"staging, landing: {landing}, "))
    mergeq.sweep_and_work()
    github.settle()

    mergeq.sweep_and_work()

    assert pull.merged
    assert mergeq.history()[0].way.partition(":")[0] == landing
    assert message_of(github, repo.git.tip("main")) == said


def test_a_staged_rebase_keeps_its_messages_but_not_what_silences_ci(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    pull = open_pull(github, "tide/rebase", title="Add fins [skip ci]")
    github.world.push_to_pull(pull, {"paint.txt": "red\n"}, message="Paint them")
    move_on(github)
    github.settle()

    start_mergeq(CONFIG + STAGING).sweep_and_work()

    assert staged(github) == ["Add fins (skip ci)", "Paint them"]


def test_the_body_of_a_pull_request_is_not_kept(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clean_redis: "redis.Redis"
) -> None:
    """It may be 65,536 characters long, and no decision needs it."""
    pull = open_pull(github, body="Nobody needs to remember this.")

    start_mergeq(TEMPLATED).sweep_and_work()

    assert "Nobody needs to remember this." in message_of(github, pull.merge_commit_sha)
    assert not [key for key in clean_redis.scan_iter() if b"Nobody needs" in (clean_redis.dump(key) or b"")]


@pytest.mark.parametrize(("author", "searched"), [("ana", "ana"), ("renovate[bot]", "app%2Frenovate")])
def test_a_status_links_to_the_dashboard_that_is_configured(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], author: str, searched: str
) -> None:
    """T6.30."""
    pull = open_pull(github, author=author, head="fins")

    start_mergeq(CONFIG + "  pr_status_base_url: https://prow.test/pr\n").sweep_and_work()

    found = {one.context: one.target_url for one in github.world.repo("acme/rocket").latest_statuses(pull.head_sha)}
    assert found["tide"] == (f"https://prow.test/pr?query=is%3Apr+repo%3Aacme%2Frocket+author%3A{searched}+head%3Afins")
