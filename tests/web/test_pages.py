"""What a browser and a program see."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
from werkzeug.test import TestResponse

from mergeq import shipped
from mergeq.core.reason import Clause, Reason
from mergeq.processes import EmbeddedRedis
from mergeq.sandbox import Sandbox
from tests.conftest import CONFIG, READY, Mergeq
from tests.web.builders import MAIN, save, save_many, standing

EVIL = '<script>alert("x")</script> {{ 7*7 }}'
OUR_SCRIPT = """<script src="{{ url_for('static', filename='live.js') }}" defer>"""


def valid(answer: TestResponse, schema: str) -> Any:
    document = json.loads(answer.data)
    jsonschema.Draft202012Validator(json.loads((shipped("schemas") / f"{schema}.schema.json").read_bytes())).validate(
        document
    )
    return document


@pytest.fixture
def busy(github: Sandbox, mergeq: Mergeq) -> Mergeq:
    """One landed, one with an evil title that lacks a label."""
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.world.open_pull("acme/rocket", title=EVIL, files={"evil.txt": "x\n"}, labels=("lgtm",), author="eve")
    github.settle()
    mergeq.sweep_and_work()
    return mergeq


def test_the_queue_page_shows_every_open_pull_request_in_the_words_of_its_status(busy: Mergeq) -> None:
    page = busy.web.get("/tide").text

    assert "acme/rocket" in page
    assert '<span class="soft">Not mergeable.</span> Needs approved label.' in page
    assert "no pull request is ready" in page


@pytest.mark.parametrize("path", ["/tide", "/tide-history", "/pr/acme/rocket/2"])
def test_what_authors_write_is_never_markup(busy: Mergeq, path: str) -> None:
    answer = busy.web.get(path)

    assert answer.status_code == 200
    assert re.findall("<script[^>]*>", answer.text) == ['<script src="/static/live.js" defer>']
    if path != "/tide-history":
        assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; {{ 7*7 }}" in answer.text


def test_the_run_that_a_reason_names_is_a_link_that_takes_no_more_room_than_it_must(mergeq: Mergeq) -> None:
    url = "https://ci.test/acme/rocket/runs/0123456789/jobs/9876543210"
    red = Reason(
        Clause.STAGED, "a green run alone", f"e2e failed on mergeq/main-1 ({url})", "ana", "fix it", items=("e2e",)
    )
    save(mergeq.store, MAIN, standing(1, red))

    page = mergeq.web.get("/pr/acme/rocket/1").text

    assert re.findall(f'<a href="{url}" rel="([^"]*)">([^<]*)</a>', page) == [("nofollow noopener", f"{url[:48]}...")]


@pytest.mark.parametrize("path", ["/tide", "/tide.json", "/nowhere", "/static/mergeq.css", "/healthz"])
def test_every_answer_forbids_scripts_but_ours_and_frames(mergeq: Mergeq, path: str) -> None:
    with mergeq.web.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'")
    assert "; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_no_template_carries_what_the_policy_forbids() -> None:
    for template in Path(shipped("webui") / "templates").glob("*.html"):
        text = template.read_text()
        assert "style=" not in text
        assert re.findall("<script[^>]*>", text) in ([], [OUR_SCRIPT])
        assert re.findall(r"\son\w+=", text) == []
        assert "|safe" not in text.replace(" ", "")
        assert "http" not in text.replace("http-equiv", "")


def test_the_pull_request_page_says_what_would_change_each_reason(busy: Mergeq) -> None:
    page = busy.web.get("/pr/acme/rocket/2").text

    assert "the label approved" in page
    assert "add approved" in page
    assert "ci/test" in page


def test_the_pull_request_page_names_the_other_queries_and_what_happens_next(
    start_mergeq: Callable[..., Mergeq],
) -> None:
    mergeq = start_mergeq(
        CONFIG.replace("  squash_label", "    - {orgs: [acme], author: bot, milestone: v1}\n  squash_label")
    )
    save(
        mergeq.store,
        MAIN,
        standing(2, Reason(Clause.LABELS, "the label approved", "", "", "", items=("approved",)), labels=()),
    )

    page = mergeq.web.get("/pr/acme/rocket/2").text

    assert "1 other query could take it" in page
    assert "<b>by bot, milestone v1</b>: needs to be by bot; the milestone v1" in page
    assert "When nothing stands in the way any more, it joins the pool of acme/rocket:main by itself" in page


def test_the_page_of_a_landed_pull_request_says_what_was_done(busy: Mergeq) -> None:
    landed = busy.history()[0].landed_sha

    page = busy.web.get("/pr/acme/rocket/1").text
    assert re.search(rf'Landed as <a href="http://[^"]*/acme/rocket/commit/{landed}"', page)
    document = valid(busy.web.get("/pr/acme/rocket/1.json"), "pr")
    assert document["open"] is False
    assert document["history"][0]["landed_sha"] == landed


def test_the_json_of_a_pull_request_carries_the_one_list_of_reasons(busy: Mergeq) -> None:
    document = valid(busy.web.get("/pr/acme/rocket/2.json"), "pr")

    assert document["status"] == {"state": "pending", "description": "Not mergeable. Needs approved label."}
    assert [reason["clause"] for reason in document["reasons"]] == ["labels"]
    assert document["in_pool"] is False


@pytest.mark.parametrize("path", ["/tide.json", "/tide.js"])
def test_the_queue_as_deck_serves_it(busy: Mergeq, path: str) -> None:
    document = valid(busy.web.get(path), "tide")

    (query,) = document["TideQueries"]
    assert sorted(query["labels"]) == ["approved", "lgtm"]
    assert (query["missingLabels"], query["orgs"]) == (["do-not-merge/hold"], ["acme"])
    (search,) = document["Queries"]
    wanted = 'is:pr state:open archived:false label:"lgtm" label:"approved" -label:"do-not-merge/hold" org:"acme"'
    assert sorted(search.split()) == sorted(wanted.split())
    assert document["Pools"][0]["Action"] == "WAIT"
    assert document["Pools"][0]["SuccessPRs"] is None


@pytest.mark.parametrize("path", ["/tide-history.json", "/tide-history.js?repo=acme/rocket&branch=main"])
def test_the_history_as_tide_writes_it(busy: Mergeq, path: str) -> None:
    document = valid(busy.web.get(path), "tide-history")
    record = document["History"]["acme/rocket:main"][0]

    assert (record["action"], record["outcome"], record["tested_tree"]) == ("MERGE", "LANDED", None)
    assert record["target"][0]["title"] == "Add fins"
    assert record["tenantids"] is None
    assert "err" not in record


def test_the_script_form_carries_no_markup_and_only_plain_names(busy: Mergeq) -> None:
    script = busy.web.get("/tide.js?var=tideData")

    assert script.mimetype == "application/javascript"
    assert script.text.startswith("var tideData = {")
    assert "<" not in script.text
    assert busy.web.get("/tide.js?var=alert(1)").status_code == 400


@pytest.mark.parametrize("path", ["/tide.json", "/api/pools", "/tide.js?var=tideData"])
def test_documents_of_many_pools_are_sent_in_pieces_that_join_to_the_whole(mergeq: Mergeq, path: str) -> None:
    leases = save_many(mergeq.store, 70)

    pieces = [piece.decode() for piece in mergeq.web.get(path, buffered=False).iter_encoded()]
    document = json.loads("".join(pieces).removeprefix("var tideData = ").removesuffix(";"))
    pools = document["Pools"] if isinstance(document, dict) else document

    assert max(len(re.findall('"SuccessPRs"', piece)) for piece in pieces) == 1
    assert [one["Repo"] for one in pools] == [lease.branch.repo for lease in leases]


@pytest.mark.parametrize("path", ["/tide.json", "/api/pools"])
def test_a_document_that_breaks_off_does_not_end_as_if_it_were_whole(
    start_mergeq: Callable[..., Mergeq], tmp_path: Path, path: str
) -> None:
    with EmbeddedRedis(tmp_path / "away") as server:
        mergeq = start_mergeq(redis_url=server.url)
        save_many(mergeq.store, 70)
        answer = mergeq.web.get(path, buffered=False)
        pieces = answer.iter_encoded()
        assert next(pieces)[:1] in b"{["

    assert mergeq.web.get(path).status_code == 503
    with pytest.raises(redis.RedisError):
        list(pieces)


def test_an_empty_queue_says_so(mergeq: Mergeq) -> None:
    assert "No open pull request is known" in mergeq.web.get("/tide").text
    assert "Nothing has been done yet" in mergeq.web.get("/tide-history").text


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/pr/acme/rocket/99", 404),
        ("/pr/acme/rocket/99.json", 404),
        ("/tide-history?repo=acme", 400),
        ("/webhooks/github", 405),
    ],
)
def test_errors_are_one_sentence_in_the_form_that_was_asked_for(mergeq: Mergeq, path: str, code: int) -> None:
    answer = mergeq.web.get(path)

    assert answer.status_code == code
    assert "Traceback" not in answer.text
    if path.endswith(".json"):
        assert list(json.loads(answer.data)) == ["error"]


def test_the_front_page_is_the_queue(mergeq: Mergeq) -> None:
    assert mergeq.web.get("/").headers["Location"] == "/tide"


def test_health_says_whether_anything_is_under_way(busy: Mergeq) -> None:
    assert json.loads(busy.web.get("/healthz").data) == {"ok": True, "idle": True}


def test_metrics_carry_tides_names(busy: Mergeq) -> None:
    text = busy.web.get("/metrics").text

    assert 'pooledprs{branch="main",org="acme",repo="rocket"} 0.0' in text
    assert 'merges_total{branch="main",org="acme",repo="rocket"} 1.0' in text
    assert '\ntidesyncheartbeat{controller="sync"} 1.0' in text


def test_when_redis_is_away_the_answer_is_503_in_words(start_mergeq: Callable[..., Mergeq], tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "away") as server:
        mergeq = start_mergeq(redis_url=server.url)

    page = mergeq.web.get("/tide")

    assert page.status_code == 503
    assert "mergeq could not answer" in page.text


def test_a_context_that_github_requires_and_nothing_reports_is_named_on_its_branch(
    github: Sandbox, mergeq: Mergeq
) -> None:
    """P7.47: whoever reads the queue sees it as whoever reads a plan does."""
    github.world.protect("acme/rocket", "main", ["ci/tset"])
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY)
    github.settle()

    mergeq.sweep_and_work()

    assert "<b>GitHub requires what nothing reports here:</b> ci/tset." in mergeq.web.get("/tide").text
