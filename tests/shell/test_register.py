"""`mergeq github-app create`: from a form of ours over GitHub's page and back, to files that only their owner reads."""

import html
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from mergeq.cli import cli, main
from mergeq.config import Settings
from mergeq.core.checkup import EVENTS, NEEDS
from mergeq.github.auth import App, key_of
from mergeq.register import manifest
from mergeq.sandbox import ManualClock, Sandbox

ROOT = Path(__file__).parents[2]
PUBLIC = "https://queue.example.com"
Visitor = Callable[[str], object]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def create(
    github: Sandbox, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Visitor], tuple[Result, list[object]]]:
    """Run the command while a visitor uses its page; what came of both."""
    monkeypatch.setenv("GITHUB_API_URL", f"{github.url}/api/v3")
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(visitor: Visitor) -> tuple[Result, list[object]]:
        seen: list[object] = []
        browser = threading.Thread(target=lambda: seen.append(visitor(f"http://127.0.0.1:{port}")), daemon=True)
        browser.start()
        options = ["--org", "acme", "--name", "Our Queue", "--url", PUBLIC]
        arguments = ["github-app", "create", *options, "--folder", str(tmp_path / "out"), "--port", str(port)]
        result = CliRunner().invoke(cli, arguments)
        browser.join(20)
        return result, seen

    (tmp_path / "out").mkdir()
    return run


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Where the form of a page goes, and what it holds."""
    (action,) = re.findall(r'action="([^"]+)"', page)
    (value,) = re.findall(r'name="manifest" value="([^"]+)"', page)
    return html.unescape(action), {"manifest": html.unescape(value)}


def open_page(url: str) -> requests.Response:
    """A page that may only just be coming up."""
    with requests.Session() as session:
        session.mount(
            "http://", requests.adapters.HTTPAdapter(max_retries=requests.adapters.Retry(20, backoff_factor=0.1))
        )
        return session.get(url, timeout=20)


def agree(url: str) -> requests.Response:
    """Go on to GitHub, agree there, and come back."""
    action, fields = form_of(open_page(url).text)
    return requests.post(f"{action}&login=ana", fields, timeout=20)


def test_an_app_is_made_with_what_is_needed_and_works_at_once(
    github: Sandbox, clock: ManualClock, create: Callable[[Visitor], tuple[Result, list[object]]], tmp_path: Path
) -> None:
    github.world.users.id_of("ana")

    result, (page,) = create(agree)

    assert result.exit_code == 0, result.output
    made = github.world.registry.by_slug("our-queue")
    assert made is not None
    assert (made.owner, made.hook_url) == ("acme", f"{PUBLIC}/webhooks/github")
    assert made.permissions == {need.permission: need.access for need in NEEDS}
    assert set(made.events) == set(EVENTS)
    key, variables = tmp_path / "out" / "mergeq.pem", tmp_path / "out" / "mergeq.env"
    assert [file.stat().st_mode & 0o777 for file in (key, variables)] == [0o600, 0o600]
    told = Settings.from_environment(dict(line.split("=", 1) for line in variables.read_text().splitlines()))
    assert (told.github_app_id, told.webhook_secrets, told.public_url) == (
        str(made.app.id),
        (made.webhook_secret,),
        PUBLIC,
    )
    github.world.install_app(made, "acme")
    app = App(told.github_app_id, key_of(Path(told.github_app_key_file)), told.github_api_url, clock.now)
    assert app.token("acme").startswith("ghs_")
    assert isinstance(page, requests.Response)
    assert page.status_code == 200
    for text in (result.output, page.text):
        assert made.webhook_secret not in text
        assert "PRIVATE KEY" not in text
    assert f"{github.url}/apps/our-queue/installations/new" in result.output


def test_only_who_came_from_our_own_form_brings_a_code(
    create: Callable[[Visitor], tuple[Result, list[object]]],
) -> None:
    def stranger(url: str) -> list[int]:
        open_page(url)
        answers = [requests.get(f"{url}{path}", timeout=20) for path in ("/created?code=x&state=guess", "/favicon.ico")]
        state = form_of(open_page(url).text)[0].partition("state=")[2]
        answers += [requests.get(f"{url}/created?state={state}", timeout=20)]
        requests.get(f"{url}/created?code=made-up&state={state}", timeout=20)
        return [one.status_code for one in answers]

    result, seen = create(stranger)

    assert seen == [[403, 404, 400]]
    assert result.exit_code == 1


def test_a_code_that_github_does_not_know_leaves_nothing_behind(
    create: Callable[[Visitor], tuple[Result, list[object]]], tmp_path: Path
) -> None:
    def impatient(url: str) -> int:
        state = form_of(open_page(url).text)[0].partition("state=")[2]
        return requests.get(f"{url}/created?code=made-up&state={state}", timeout=20).status_code

    result, _ = create(impatient)

    assert str(result.exception) == (
        "GitHub did not make the App: 404 Not Found; run the command again, a code is good once and for an hour"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_files_that_are_there_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mergeq.env").write_text("GITHUB_APP_ID=1\n")
    monkeypatch.setattr("sys.argv", ["mergeq", "github-app", "create", "--folder", str(tmp_path)])

    with pytest.raises(SystemExit, match="1"):
        main()

    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"{tmp_path}/mergeq.env: cannot be made (File exists); choose an empty folder with --folder"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("mergeq.env", "GITHUB_APP_ID=1\n")]


def test_the_manifest_in_deploy_is_the_one_that_is_sent() -> None:
    kept = json.loads((ROOT / "deploy" / "github-app-manifest.json").read_bytes())

    assert kept == manifest("mergeq", "https://mergeq.example.com", "http://127.0.0.1:8000/created")


def test_the_permissions_and_events_are_those_that_the_documents_show() -> None:
    text = (ROOT / "deploy" / "README.md").read_text().partition("### Branch protection")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (read|write) \| (.+?)( \(optional\))? \|$", text, re.MULTILINE)

    assert rows == [(one.permission, one.access, one.why, " (optional)" * one.is_optional) for one in NEEDS]
    assert [event for event in EVENTS if f"`{event}`" not in text] == []
