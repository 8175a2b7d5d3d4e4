from __future__ import annotations

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.rates import Payer
from tests.sandbox.conftest import BASE, Query, Rest
from tests.sandbox.test_faults import hits, switch_on

URL = f"{BASE}/repos/acme/rocket"


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def tip_of(sandbox: Sandbox) -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip("main"))


def test_an_hour_later_by_the_sandboxs_clock_there_are_points_again(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.rates.limit = 1
    first, second = rest("GET", ""), rest("GET", "")
    sandbox.clock.advance(3600)
    third = rest("GET", "")

    assert [first.status_code, second.status_code, third.status_code] == [200, 403, 200]
    assert int(second.headers["X-RateLimit-Reset"]) == int(sandbox.clock.now())
    assert second.headers["X-RateLimit-Remaining"] == "0"
    assert second.json()["documentation_url"].endswith("rate-limits-for-the-rest-api#about-primary-rate-limits")


def test_rest_graphql_and_search_have_points_of_their_own(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    rest("GET", "")
    query("{viewer{login}}")
    query("{viewer{login}}")

    shown = rest("GET", "//rate_limit").json()["resources"]

    assert {name: one["used"] for name, one in shown.items()} == {"core": 1, "graphql": 2, "search": 0}
    assert (shown["search"]["limit"], shown["search"]["reset"]) == (30, int(sandbox.clock.now()) + 60)


def test_who_does_not_sign_in_is_told_how_to_get_more(sandbox: Sandbox, session: requests.Session) -> None:
    del session.headers["Authorization"]
    sandbox.rates.anonymous_limit = 0

    code, message = said(session.get(URL))

    assert code == 403
    assert message.startswith("API rate limit exceeded for 127.0.0.1. (But here's the good news: ")


@pytest.mark.parametrize("code", [403, 429])
def test_the_hour_may_be_used_up_by_a_switch(session: requests.Session, rest: Rest, code: int) -> None:
    switch_on(session, "limit.primary", args={"code": code, "skew": -7200})

    used_up, after = rest("GET", ""), rest("GET", "")

    assert (used_up.status_code, after.status_code) == (code, 200)
    assert used_up.headers["X-RateLimit-Remaining"] == "0"
    assert int(used_up.headers["X-RateLimit-Reset"]) == int(after.headers["X-RateLimit-Reset"]) - 7200
    assert used_up.json()["message"].startswith("API rate limit exceeded for user ID ")


def test_graphql_says_so_with_200_and_no_data(session: requests.Session, query: Query) -> None:
    switch_on(session, "limit.primary", match={"route": "graphql:Who"})

    other = query("query Other {viewer{login}}")
    refused = query("query Who {viewer{login}}")

    assert "data" in other
    assert refused["errors"][0]["type"] == "RATE_LIMITED"
    assert "data" not in refused


def test_a_secondary_limit_may_come_with_or_without_a_hint(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.secondary", args={"code": 429, "retry_after": 30})
    switch_on(session, "limit.secondary", after=0)
    hinted, silent, fine = rest("GET", ""), rest("GET", ""), rest("GET", "")

    assert [one.status_code for one in (hinted, silent, fine)] == [429, 403, 200]
    assert (hinted.headers["Retry-After"], silent.headers.get("Retry-After")) == ("30", None)
    for one in (hinted, silent):
        assert one.json()["message"].startswith("You have exceeded a secondary rate limit. Please wait a few minutes")
        assert one.json()["documentation_url"].endswith("#about-secondary-rate-limits")
        assert int(one.headers["X-RateLimit-Remaining"]) > 0


def test_older_servers_speak_of_abuse(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.abuse", args={"retry_after": 60})

    answer = rest("GET", "")

    assert said(answer) == (
        403,
        "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.",
    )
    assert answer.json()["documentation_url"].endswith("#abuse-rate-limits")


def test_bursts_are_not_counted_unless_that_is_switched_on(sandbox: Sandbox, rest: Rest) -> None:
    tip = tip_of(sandbox)

    codes = {rest("POST", f"/statuses/{tip}", state="success", context=f"c{n}").status_code for n in range(90)}

    assert codes == {201}


def test_eighty_things_a_minute_may_be_made(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None)
    tip = tip_of(sandbox)

    codes = [rest("POST", f"/statuses/{tip}", state="success", context=f"c{n}").status_code for n in range(80)]
    refused = rest("POST", f"/statuses/{tip}", state="success", context="more")
    read = rest("GET", "").status_code
    sandbox.clock.advance(float(refused.headers["Retry-After"]))
    later = rest("POST", f"/statuses/{tip}", state="success", context="more").status_code

    assert (set(codes), read, later) == ({201}, 200, 201)
    assert said(refused)[1].startswith("You have exceeded a secondary rate limit.")
    assert hits(session) == [1]


def test_five_hundred_things_an_hour_may_be_made(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None, args={"content_hour": 2})
    tip = tip_of(sandbox)

    codes = []
    for number in range(4):
        codes.append(rest("POST", f"/statuses/{tip}", state="success", context=f"c{number}").status_code)
        sandbox.clock.advance(60)
    sandbox.clock.advance(3600)

    assert codes == [201, 201, 403, 403]
    assert rest("POST", f"/statuses/{tip}", state="success").status_code == 201


def test_points_of_a_minute_count_each_route_by_itself(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None, args={"points": 11})

    reads = [rest("GET", "/pulls").status_code for _ in range(12)]
    writes = [rest("POST", "/issues", title="x").status_code for _ in range(3)]

    assert reads == [200] * 11 + [403]
    assert writes == [201, 201, 403]


def test_graphql_pays_more_for_a_mutation(session: requests.Session, query: Query) -> None:
    switch_on(session, "limit.enforced", times=None, args={"graphql_points": 6})
    mutation = 'mutation M { deleteRef(input: {refId: "REF_x"}) { clientMutationId } }'

    query(mutation)
    refused = session.post(f"{BASE}/graphql", json={"query": mutation})

    assert said(refused)[0] == 403
    assert "data" in query("query Q {viewer{login}}")


def test_only_so_many_may_ask_at_once(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None, args={"concurrent": 1})
    bursts, payer = sandbox.app.site.bursts, Payer(f"user ID {sandbox.world.users.id_of('mergeq-bot')}")

    bursts.enter(payer)
    while_another_is_under_way = rest("GET", "")
    bursts.leave(payer)

    assert (while_another_is_under_way.status_code, while_another_is_under_way.headers["Retry-After"]) == (403, "1")
    assert rest("GET", "").status_code == 200


def test_a_retry_after_is_never_negative(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None, args={"points": 0})

    assert int(rest("GET", "").headers["Retry-After"]) >= 1
    assert sandbox.clock.now() > 0


def test_a_limit_nobody_knows_is_a_mistake_of_the_test(session: requests.Session, rest: Rest) -> None:
    switch_on(session, "limit.enforced", times=None, args={"points_per_day": 1})

    with pytest.raises(TypeError, match="points_per_day"):
        rest("GET", "")


def test_a_server_without_limits_says_nothing_of_them(session: requests.Session, rest: Rest, query: Query) -> None:
    switch_on(session, "limit.none", times=None)

    assert not [name for name in rest("GET", "").headers if name.startswith("X-RateLimit")]
    assert query("{rateLimit{remaining}}")["data"] == {"rateLimit": None}
