"""mergeq as a GitHub App: a token for each organization, renewed in time, replaced when refused, told to nobody."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from mergeq.bootstrap import services
from mergeq.config import ConfigError, Settings
from mergeq.core.checkup import NEEDS
from mergeq.core.pull import Branch
from mergeq.github import Unreadable
from mergeq.github.auth import TOKENS
from mergeq.sandbox import ManualClock, Sandbox, installing
from mergeq.sandbox.apps import Installation, Registration
from mergeq.sandbox.records import Pull
from mergeq.store import ALL
from tests.conftest import CONFIG, FILES, READY, Mergeq
from tests.shell.test_landing import hits, status_of

ORGS = ("acme", "umbrella")
BOTH = CONFIG.replace("- orgs: [acme]", "- orgs: [acme, umbrella]")
MINTED = "POST /app/installations/{installation_id}/access_tokens"
MERGE = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge"
PERMISSIONS = {need.permission: need.access for need in NEEDS}


@pytest.fixture
def app(github: Sandbox) -> Registration:
    github.world.create_repo("umbrella/rocket", files=FILES)
    return github.world.register_app("queue", permissions=PERMISSIONS)


@pytest.fixture
def installations(github: Sandbox, app: Registration) -> dict[str, Installation]:
    return {org: github.world.install_app(app, org) for org in ORGS}


@pytest.fixture
def start_app(start_mergeq: Callable[..., Mergeq], app: Registration, tmp_path: Path) -> Callable[..., Mergeq]:
    """Start mergeq as the App, with a configuration."""
    key = tmp_path / "app.pem"
    key.write_text(app.pem)

    def start(config: str = BOTH) -> Mergeq:
        return start_mergeq(config, github_token="", github_app_id=str(app.app.id), github_app_key_file=str(key))

    return start


def ready(github: Sandbox, org: str = "acme", title: str = "Add fins") -> Pull:
    pull = github.world.open_pull(
        f"{org}/rocket", title=title, files={f"{title.rsplit(maxsplit=1)[-1]}.txt": "four\n"}, labels=READY
    )
    github.settle()
    return pull


def said(github: Sandbox, pull: Pull) -> str:
    return str(status_of(github, pull.repo, pull.head_sha)[1])


@pytest.mark.usefixtures("installations")
def test_an_app_looks_says_and_merges_in_two_organizations_with_a_token_for_each(
    github: Sandbox, start_app: Callable[..., Mergeq]
) -> None:
    mergeq = start_app()
    pulls = [ready(github, org) for org in ORGS]
    waiting = github.world.open_pull("umbrella/rocket", title="Not yet", files={"n.txt": "n\n"})
    github.settle()

    mergeq.sweep_and_work(2)

    assert [pull.is_open for pull in (*pulls, waiting)] == [False, False, True]
    assert {pull.merged_by for pull in pulls} == {"queue[bot]"}
    assert said(github, waiting) == "Not mergeable. Needs approved, lgtm labels."
    assert hits(github, MINTED) == 2
    assert [mergeq.history(f"{org}/rocket:main")[0].outcome for org in ORGS] == ["LANDED", "LANDED"]


@pytest.mark.usefixtures("installations")
def test_a_token_is_kept_until_shortly_before_its_hour_is_over(
    github: Sandbox, clock: ManualClock, start_app: Callable[..., Mergeq]
) -> None:
    mergeq = start_app(CONFIG)

    minted = []
    for minutes in (1, 52, 4, 52, 4):
        clock.advance(60 * (minutes - 1))
        mergeq.sweep_and_work()
        minted.append(hits(github, MINTED))

    assert minted == [1, 1, 2, 2, 3]
    late = ready(github)
    mergeq.sweep_and_work(2)
    assert not late.is_open


@pytest.mark.usefixtures("installations")
@pytest.mark.parametrize(
    "route",
    ["graphql:Look", "graphql:LastLook", MERGE],
    ids=["a read", "the last look", "a merge"],
)
def test_a_token_that_is_revoked_early_is_replaced_once_and_nothing_is_done_twice(
    github: Sandbox, start_app: Callable[..., Mergeq], route: str
) -> None:
    mergeq = start_app(CONFIG)
    mergeq.sweep_and_work()
    pull = ready(github)
    before = hits(github, MINTED)
    fault = github.world.faults.add("auth.expire", route=route)

    mergeq.sweep_and_work(2)

    assert fault.hits == 1
    assert not pull.is_open
    assert hits(github, MINTED) == before + 1
    assert len(mergeq.history()) == 1


@pytest.mark.usefixtures("installations")
def test_a_github_that_refuses_every_token_is_asked_twice_and_no_more(
    github: Sandbox, start_app: Callable[..., Mergeq]
) -> None:
    mergeq = start_app(CONFIG)
    mergeq.sweep_and_work()
    pull = ready(github)
    github.world.faults.add("auth.expire", route=MERGE, times=None)

    mergeq.sweep_and_work(2)

    assert pull.is_open
    assert github.hits[MERGE] == 2
    assert mergeq.history()[0].outcome == "REFUSED"


@pytest.mark.usefixtures("installations")
@pytest.mark.parametrize("seconds", [-7200, -120, 120, 7200])
def test_a_clock_that_is_not_githubs_keeps_no_app_out(
    github: Sandbox, start_app: Callable[..., Mergeq], seconds: int
) -> None:
    """Q64: what is signed is signed by GitHub's clock."""
    github.world.faults.add("clock.skew", times=None, args={"seconds": seconds})
    mergeq = start_app(CONFIG)
    pull = ready(github)

    mergeq.sweep_and_work(2)

    assert not pull.is_open
    assert hits(github, MINTED) == 1


def not_installed(github: Sandbox, installation: Installation) -> None:
    installing.uninstall(github.world, installation, "ana")


def suspended(github: Sandbox, installation: Installation) -> None:
    installing.suspend(github.world, installation, "ana")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (not_installed, "the GitHub App is not installed in umbrella; install it there"),
        (suspended, "the GitHub App is suspended in umbrella; unsuspend its installation there"),
    ],
)
def test_an_organization_that_the_app_lost_says_so_and_the_other_goes_on(
    github: Sandbox,
    installations: dict[str, Installation],
    start_app: Callable[..., Mergeq],
    spoil: Callable[[Sandbox, Installation], None],
    why: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mergeq = start_app()
    ours, theirs = ready(github), ready(github, "umbrella")
    spoil(github, installations["umbrella"])

    mergeq.sweep_and_work(2)

    assert (ours.is_open, theirs.is_open) == (False, True)
    with pytest.raises(Unreadable) as error:
        mergeq.services.github.read_branch(Branch.parse("umbrella/rocket:main"), "")
    assert str(error.value) == f"umbrella/rocket:main could not be read: {why}"
    log = capfd.readouterr().err
    assert why in log
    assert "Traceback" not in log


def test_a_branch_that_was_read_before_says_on_its_page_why_it_cannot_be_read_now(
    github: Sandbox, installations: dict[str, Installation], start_app: Callable[..., Mergeq]
) -> None:
    mergeq = start_app()
    github.world.open_pull("umbrella/rocket", title="Not yet", files={"n.txt": "n\n"})
    github.settle()
    mergeq.sweep_and_work()
    suspended(github, installations["umbrella"])

    mergeq.services.store.mark_parts([Branch.parse("umbrella/rocket:main")], [ALL], mergeq.services.now())
    mergeq.sweep_and_work(2)

    page = mergeq.web.get("/tide").text
    assert "the GitHub App is suspended in umbrella" in page


@pytest.mark.usefixtures("installations")
def test_no_token_is_in_redis_the_log_or_a_page(
    github: Sandbox,
    start_app: Callable[..., Mergeq],
    clean_redis: "redis.Redis",
    capfd: pytest.CaptureFixture[str],
    app: Registration,
) -> None:
    mergeq = start_app()
    for org in ORGS:
        ready(github, org)
    github.world.faults.add("auth.expire", route="graphql:LastLook")
    mergeq.sweep_and_work(2)
    tokens = [mergeq.services.github.credentials.token(org) for org in ORGS]
    mergeq.services.log.warning("said on purpose", token=tokens[0], header=f"Bearer {tokens[1]}")

    kept = "\n".join(everything(clean_redis))
    pages = "\n".join(mergeq.web.get(path).text for path in ("/tide", "/tide.json", "/tide-history", "/metrics"))
    log = capfd.readouterr().err

    assert mergeq.history()
    for text in (kept, pages, log):
        assert text
        assert not TOKENS.search(text)
        assert not any(part in text for token in tokens for part in (token, token[-40:]))
        assert "PRIVATE KEY" not in text
    assert log.count("[redacted]") == 2
    assert not any(token in repr(mergeq.services.github.credentials) for token in (*tokens, app.pem))


def everything(connection: "redis.Redis") -> Iterator[str]:
    """All that a Redis holds, as text; what RQ has compressed is opened."""
    for key in connection.scan_iter():
        yield repr(key)
        dumped = connection.dump(key)
        yield repr(dumped)
        match connection.type(key):
            case b"string":
                yield repr(connection.get(key))
            case b"hash":
                yield repr(connection.hgetall(key))
            case b"list":
                yield repr(connection.lrange(key, 0, -1))
            case b"set":
                yield repr(connection.smembers(key))
            case b"zset":
                yield repr(connection.zrange(key, 0, -1))
            case b"stream":
                yield repr(connection.xrange(key))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("not a key\n", "holds no private key; give the .pem file that GitHub made for the App"),
        ("-----BEGIN RSA PRIVATE KEY-----\nc3BvaWx0\n-----END RSA PRIVATE KEY-----\n", "cannot sign"),
        ("clé", "cannot be read (it is no PEM file)"),
    ],
    ids=["missing", "another file", "garbled", "not ASCII"],
)
def test_a_key_that_is_none_is_one_line_at_start(tmp_path: Path, redis_url: str, text: str | None, said: str) -> None:
    key, config = tmp_path / "app.pem", tmp_path / "config.yaml"
    config.write_text(CONFIG)
    if text is not None:
        key.write_text(text)
    settings = Settings(github_app_id="1", github_app_key_file=str(key), redis_url=redis_url, config_paths=(config,))

    with pytest.raises(ConfigError) as error:
        services(settings)

    assert len(error.value.problems) == 1
    assert re.fullmatch(
        rf"GITHUB_APP_PRIVATE_KEY_FILE: {re.escape(str(key))}: .*; name the \.pem file of the App", str(error.value)
    )
    assert said in str(error.value)
    assert "c3BvaWx0" not in str(error.value)
