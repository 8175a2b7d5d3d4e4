from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.apps import Registration
from tests.sandbox.conftest import BASE
from tests.sandbox.test_apps import signed

CALLBACK = "https://queue.example.com/callback"
Exchange = Callable[..., dict[str, Any]]


@pytest.fixture
def app(sandbox: Sandbox) -> Registration:
    sandbox.world.users.join_team("acme/owners", "zoe")
    return sandbox.world.register_app("queue", permissions={"members": "read"}, callback_urls=[CALLBACK])


@pytest.fixture
def browser(session: requests.Session) -> requests.Session:
    """Signed in nowhere, and staying where it is when it is sent on."""
    del session.headers["Authorization"]
    return session


@pytest.fixture
def exchange(browser: requests.Session, app: Registration) -> Exchange:
    def ask(**fields: str) -> dict[str, Any]:
        secrets = {"client_id": app.client_id, "client_secret": app.client_secret}
        url = f"{BASE}/login/oauth/access_token"
        answer = browser.post(url, data={**secrets, **fields}, headers={"Accept": "application/json"})
        assert answer.status_code == 200
        return dict(answer.json())

    return ask


def sent_to(answer: requests.Response) -> tuple[str, dict[str, str]]:
    assert answer.status_code == 302, answer.text
    url = urlsplit(answer.headers["Location"])
    return f"{url.scheme}://{url.netloc}{url.path}", dict(parse_qsl(url.query))


def authorize(browser: requests.Session, app: Registration, **fields: str) -> tuple[str, dict[str, str]]:
    asked = {"client_id": app.client_id, "login": "zoe", "state": "s1", **fields}
    return sent_to(browser.get(f"{BASE}/login/oauth/authorize", params=asked, allow_redirects=False))


def test_somebody_signs_in_and_is_known_by_login_organization_and_team(
    browser: requests.Session, app: Registration, exchange: Exchange
) -> None:
    where, came_with = authorize(browser, app, redirect_uri=CALLBACK)
    tokens = exchange(code=came_with["code"], redirect_uri=CALLBACK)
    browser.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    me = browser.get(f"{BASE}/user").json()
    orgs = browser.get(f"{BASE}/user/orgs").json()
    membership = browser.get(f"{BASE}/user/memberships/orgs/acme").json()
    team = browser.get(f"{BASE}/orgs/acme/teams/owners/memberships/zoe").json()

    assert (where, came_with["state"]) == (CALLBACK, "s1")
    assert tokens["access_token"].startswith("ghu_")
    assert tokens["refresh_token"].startswith("ghr_")
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("bearer", 28_800, "")
    assert (me["login"], [org["login"] for org in orgs]) == ("zoe", ["acme"])
    assert (membership["role"], team["state"]) == ("member", "active")


def test_who_signs_in_is_chosen_on_a_page_or_it_is_called_off(browser: requests.Session, app: Registration) -> None:
    url, asked = f"{BASE}/login/oauth/authorize", {"client_id": app.client_id, "state": "s2"}
    page = browser.get(url, params=asked)

    chosen = sent_to(browser.post(url, params=asked, data={"login": "zoe"}, allow_redirects=False))
    cancelled = sent_to(browser.post(url, params=asked, data={"cancel": "1"}, allow_redirects=False))

    assert "Sign in as zoe" in page.text
    assert (chosen[0], chosen[1]["state"], "code" in chosen[1]) == (CALLBACK, "s2", True)
    assert (cancelled[0], cancelled[1]["error"], cancelled[1]["state"]) == (CALLBACK, "access_denied", "s2")


def test_a_code_is_good_once_for_its_app_and_for_ten_minutes(
    sandbox: Sandbox, browser: requests.Session, app: Registration, exchange: Exchange
) -> None:
    first, second = (authorize(browser, app)[1]["code"] for _ in range(2))
    good = exchange(code=first)
    again = exchange(code=first)
    sandbox.clock.advance(600)
    late = exchange(code=second)

    assert "access_token" in good
    assert again["error"] == late["error"] == "bad_verification_code"
    assert again["error_description"] == "The code passed is incorrect or expired."
    assert again["error_uri"].endswith("#bad-verification-code")


def test_wrong_secrets_and_addresses_are_named(
    browser: requests.Session, app: Registration, exchange: Exchange
) -> None:
    code = authorize(browser, app)[1]["code"]

    assert exchange(code=code, client_secret="guess")["error"] == "incorrect_client_credentials"
    assert exchange(code=code, redirect_uri="https://evil.example.com")["error"] == "redirect_uri_mismatch"
    assert exchange(grant_type="password")["error"] == "unsupported_grant_type"
    assert exchange(grant_type="refresh_token", refresh_token="x")["error"] == "bad_refresh_token"
    where, told = authorize(browser, app, redirect_uri="https://evil.example.com/x")
    assert (where, told["error"]) == (CALLBACK, "redirect_uri_mismatch")
    unknown = browser.post(f"{BASE}/login/oauth/access_token", json={"client_id": "x"})
    assert unknown.status_code == 404


def test_answers_are_forms_unless_json_is_asked_for(browser: requests.Session, app: Registration) -> None:
    code = authorize(browser, app)[1]["code"]
    sent = {"client_id": app.client_id, "client_secret": app.client_secret, "code": code}

    answer = browser.post(f"{BASE}/login/oauth/access_token", json=sent)

    assert answer.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert dict(parse_qsl(answer.text))["access_token"].startswith("ghu_")


def test_a_code_with_a_challenge_is_given_only_to_who_knows_the_answer(
    browser: requests.Session, app: Registration, exchange: Exchange
) -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {"code_challenge": challenge, "code_challenge_method": "S256"}
    codes = [authorize(browser, app, **asked)[1]["code"] for _ in range(2)]

    assert exchange(code=codes[0], code_verifier="guess")["error"] == "bad_verification_code"
    assert "access_token" in exchange(code=codes[1], code_verifier=verifier)


def test_a_sign_in_ends_after_eight_hours_and_is_refreshed_once(
    sandbox: Sandbox, browser: requests.Session, app: Registration, exchange: Exchange
) -> None:
    old = exchange(code=authorize(browser, app)[1]["code"])
    sandbox.clock.advance(28_800)

    def works(tokens: dict[str, Any]) -> int:
        return browser.get(f"{BASE}/user", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code

    new = exchange(grant_type="refresh_token", refresh_token=old["refresh_token"])
    again = exchange(grant_type="refresh_token", refresh_token=old["refresh_token"])

    assert (works(old), works(new), again["error"]) == (401, 200, "bad_refresh_token")


def test_an_oauth_app_signs_people_in_for_scopes_and_for_good(sandbox: Sandbox, browser: requests.Session) -> None:
    sandbox.world.users.issue_token("zoe")
    app = sandbox.world.register_app("board", oauth=True, callback_urls=["http://127.0.0.1:8080/"])
    uri = "http://127.0.0.1:9999/callback"

    where, came_with = authorize(browser, app, redirect_uri=uri, scope="read:org user:email")
    sent = {"client_id": app.client_id, "client_secret": app.client_secret, "code": came_with["code"]}
    tokens = browser.post(f"{BASE}/login/oauth/access_token", sent, headers={"Accept": "application/json"}).json()
    me = browser.get(f"{BASE}/user", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert where == uri
    assert tokens == {"access_token": tokens["access_token"], "scope": "read:org,user:email", "token_type": "bearer"}
    assert (me.json()["login"], me.headers["X-OAuth-Scopes"]) == ("zoe", "read:org, user:email")


def test_an_app_is_made_from_its_manifest(sandbox: Sandbox, browser: requests.Session) -> None:
    manifest = {
        "name": "My Queue",
        "url": "https://queue.example.com",
        "redirect_url": "https://queue.example.com/made",
        "hook_attributes": {"url": "https://queue.example.com/hook"},
        "callback_urls": [CALLBACK],
        "default_permissions": {"contents": "write"},
        "default_events": ["push"],
    }
    url, form = f"{BASE}/organizations/acme/settings/apps/new", {"manifest": json.dumps(manifest)}
    page = browser.post(url, form)
    agreed = {"params": {"state": "s3", "login": "zoe"}, "allow_redirects": False}
    where, came_with = sent_to(browser.post(url, form, **agreed))  # type: ignore[arg-type]
    incomplete = browser.post(url, {"manifest": "{}"})

    made = browser.post(f"{BASE}/app-manifests/{came_with['code']}/conversions")
    again = browser.post(f"{BASE}/app-manifests/{came_with['code']}/conversions")
    app = sandbox.world.registry.by_slug("my-queue")

    assert "Create GitHub App for acme" in page.text
    assert (where, came_with["state"]) == ("https://queue.example.com/made", "s3")
    assert (made.status_code, again.status_code, incomplete.status_code) == (201, 404, 422)
    assert app is not None
    body = made.json()
    assert (body["slug"], body["pem"], body["client_secret"]) == ("my-queue", app.pem, app.client_secret)
    assert body["webhook_secret"]
    assert body["permissions"] == {"metadata": "read", "contents": "write"}
    itself = browser.get(f"{BASE}/app", headers={"Authorization": f"Bearer {signed(app, sandbox.clock.now())}"})
    assert (itself.json()["name"], itself.json()["owner"]["login"]) == ("My Queue", "acme")
