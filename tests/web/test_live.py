"""The stream of changes, on virtual time."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from mergeq.sandbox import ManualClock
from mergeq.web.live import HEARTBEAT_SECONDS, LIFE_SECONDS, STREAMS
from tests.conftest import Mergeq
from tests.web.builders import MAIN, record, save, standing


def opened(mergeq: Mergeq, path: str = "/events", **headers: str) -> tuple[TestResponse, Iterator[str]]:
    """A stream that has begun."""
    answer = mergeq.web.get(path, headers=headers, buffered=False)
    assert answer.status_code == 200
    lines = (chunk.decode() for chunk in answer.iter_encoded())
    assert next(lines) == "retry: 2000\n\n"
    return answer, lines


def test_an_open_stream_says_when_a_pool_or_a_record_was_saved(mergeq: Mergeq) -> None:
    answer, lines = opened(mergeq)

    lease = save(mergeq.store, MAIN, standing(1))
    assert next(lines) == "id: 1\nevent: change\ndata: 1\n\n"
    record(mergeq.store, lease, 5.0)
    assert next(lines) == "id: 2\nevent: change\ndata: 2\n\n"
    answer.close()


def test_what_was_saved_after_the_page_was_made_is_said_at_once(mergeq: Mergeq) -> None:
    made_of = mergeq.store.version()
    save(mergeq.store, MAIN, standing(1))

    for answer, lines in (
        opened(mergeq, f"/events?since={made_of}"),
        opened(mergeq, "/events?since=nonsense", **{"Last-Event-ID": str(made_of)}),
    ):
        assert next(lines).startswith("id: 1\nevent: change\n")
        answer.close()


def test_a_page_names_the_version_that_it_was_made_of(mergeq: Mergeq) -> None:
    save(mergeq.store, MAIN, standing(1))

    page = mergeq.web.get("/tide").text

    assert 'data-events="/events" data-version="1"' in page
    assert "/static/live.js" in page
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page


def test_a_quiet_stream_is_kept_alive_by_comments(mergeq: Mergeq, clock: ManualClock) -> None:
    answer, lines = opened(mergeq)
    before = clock.now()

    assert next(lines).startswith(": ")
    assert clock.now() - before == HEARTBEAT_SECONDS
    answer.close()


def test_a_stream_ends_after_five_minutes_so_that_the_browser_comes_again(mergeq: Mergeq, clock: ManualClock) -> None:
    before = clock.now()
    answer, lines = opened(mergeq)

    assert all(line.startswith(": ") for line in lines)
    assert clock.now() - before == LIFE_SECONDS == 300.0
    answer.close()


def test_beyond_the_cap_the_answer_is_503_and_a_client_that_goes_away_frees_its_place(mergeq: Mergeq) -> None:
    streams = [opened(mergeq)[0] for _ in range(STREAMS)]

    refused = mergeq.web.get("/events")
    assert (refused.status_code, list(refused.get_json())) == (503, ["error"])

    streams.pop().close()
    streams.append(opened(mergeq)[0])
    assert mergeq.web.get("/events").status_code == 503
    for answer in streams:
        answer.close()


def test_a_stream_that_nobody_began_to_read_frees_its_place_too(mergeq: Mergeq) -> None:
    for _ in range(STREAMS + 1):
        answer = mergeq.web.get("/events", buffered=False)
        assert answer.status_code == 200
        answer.close()


def test_streams_end_with_their_process(mergeq: Mergeq) -> None:
    answer, lines = opened(mergeq)
    mergeq.web.application.extensions["mergeq.ending"] = lambda: True

    assert list(lines) == []
    answer.close()


def test_a_stream_carries_the_same_headers_as_a_page(mergeq: Mergeq) -> None:
    answer, _ = opened(mergeq)

    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    answer.close()


@pytest.mark.parametrize("path", ["/nowhere", "/pr/acme/rocket/404"])
def test_an_error_page_listens_to_nothing(mergeq: Mergeq, path: str) -> None:
    assert "data-events" not in mergeq.web.get(path).text
