"""The command line: one command per verb. The only module that may start the sandbox."""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.error import URLError
from urllib.request import urlopen

import click

from mergeq import __version__, doctor, jobs, operators, probes, register, replay, shipped, sweep, web
from mergeq.bootstrap import Services, connect_github, embedded_redis, services
from mergeq.config import ConfigError, Settings, load, resolve, schemas
from mergeq.config.changes import changes
from mergeq.config.sample import exact_searches, sample
from mergeq.console import (
    as_option,
    branch_of,
    config_option,
    exit_for,
    interruptible,
    json_option,
    repo_of,
    settings_of,
    who,
    why_option,
    working,
)
from mergeq.core.compat import Compat
from mergeq.core.explain import lines
from mergeq.core.history import HistoryRecord
from mergeq.core.orders import EVERYTHING
from mergeq.core.plan_text import counted
from mergeq.core.pull import Branch
from mergeq.github import Unreadable
from mergeq.processes import start, stop, watch
from mergeq.protect_cli import protect
from mergeq.web.documents import explanation_json, listed_json

if TYPE_CHECKING:
    from mergeq.sandbox import Sandbox
    from mergeq.sandbox.rehearsal import Rehearsal
    from mergeq.sandbox.stories import Demo

_PARTS = {"web": "web", "worker": "worker", "second worker": "worker", "tick": "tick"}
_UP_SECONDS = 120.0
_SETTLE_SECONDS = 300.0
_LAST_WORDS = 10  # lines of a log
_CI_SECONDS = {True: 0.3, False: 3.0}  # quick when only the end counts, slow enough to be watched when not
_NOT_YET = "Not mergeable. "


def main() -> None:
    """Run the command line. Exit codes: 0 ok, 1 failed or invalid, 2 changes pending, 64 usage, 130 interrupted."""
    try:
        cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(64)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mergeq")
def cli() -> None:
    """A self-hosted merge queue and branch-protection enforcer for GitHub that reads Prow's YAML unchanged."""


@cli.command()
@config_option
def run(paths: tuple[Path, ...]) -> None:
    """Run everything: pages, webhooks, two workers, the timer, a Redis."""
    with interruptible() as (stopping, caught), ExitStack() as stack:
        settings = _bindable(settings_of(paths))
        env = dict(os.environ)
        if not settings.redis_url:
            settings = replace(settings, redis_url=stack.enter_context(embedded_redis(settings)).url)
        ready = services(settings)
        for warning in ready.config.warnings:
            click.echo(f"warning: {warning}", err=True)
        parts = _Parts(_start_parts(settings, env))
        stack.callback(stop, list(parts.children.values()))
        stack.enter_context(_at_hangup(lambda: parts.pass_on(signal.SIGHUP)))
        click.echo(f"mergeq: http://{settings.host}:{settings.port}/tide  (Ctrl-C stops it)", err=True)
        parts.watch(stopping)
    exit_for(caught)


@cli.command("web")
@config_option
def web_command(paths: tuple[Path, ...]) -> None:
    """Serve the pages and take webhooks."""
    web.serve(services(settings_of(paths)))


@cli.command()
@config_option
def worker(paths: tuple[Path, ...]) -> None:
    """Do the work: look at branches, decide, land."""
    ready = services(settings_of(paths))
    ready.meet_server()
    with _at_hangup(ready.followed.force):
        jobs.work(ready)


@cli.command()
@config_option
def tick(paths: tuple[Path, ...]) -> None:
    """Keep time: start sweeps, remind of branches that were forgotten."""
    ready = services(settings_of(paths))
    ready.meet_server()
    with interruptible() as (stopping, _), _at_hangup(ready.followed.force):
        jobs.tick(ready, stopping)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen on 127.0.0.1; 0 chooses.")
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file of repositories and pull requests.",
)
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Keep the repositories in this folder.")
def sandbox(port: int, seed: Path | None, state: Path | None) -> None:
    """Run only the demo's GitHub: real git behind GitHub's HTTP API."""
    from mergeq.sandbox.stories import Demo  # noqa: PLC0415 -- what serves a real GitHub does not hold a pretended one

    with interruptible() as (stopping, caught), _github(state and state / "github") as github:
        url = github.serve(port)
        if seed:
            try:
                github.load(json.loads(seed.read_bytes()))
            except ValueError as error:
                raise click.ClickException(f"{seed}: {error}; mend the seed") from error
        else:
            Demo(github).open()
            github.load_example()
        line = {
            "url": url,
            "api": f"{url}/api/v3",
            "graphql": f"{url}/api/graphql",
            "git": f"{url}/ORG/REPO.git",
            "token": github.token,
            "webhook_secret": github.webhook_secret,
            "control": f"{url}/_sim",
        }
        click.echo(json.dumps(line))
        stopping.wait()
    exit_for(caught)


@cli.command()
@click.option("--once", is_flag=True, help="Stop when every story has ended; exit 1 if one did not end as it should.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON document.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Where the pages are; 0 chooses.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this folder.")
@click.option("--prs", type=click.IntRange(1, 500), default=20, help="With --config: how many pull requests to open.")
@config_option
def demo(once: bool, as_json: bool, port: int, state: Path | None, prs: int, paths: tuple[Path, ...]) -> None:
    """Watch pull requests land, on a GitHub of its own, offline.

    Git, CI, Redis, worker and pages are real ones.

    With --config it plays your own configuration instead of the stories: the repositories and branches that it names,
    and sample pull requests against them.
    """
    from mergeq.sandbox.rehearsal import Rehearsal  # noqa: PLC0415 -- as above
    from mergeq.sandbox.stories import Demo  # noqa: PLC0415

    if as_json and not once:
        raise click.UsageError("--json needs --once")
    config = load(paths) if paths else None
    samples = sample(config, prs) if config else []
    if config and not samples:
        raise click.ClickException("no query of this configuration names a repo or an org, so nothing can be played")
    with interruptible() as (stopping, caught), ExitStack() as stack:
        home = (
            state.absolute() if state else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mergeq-demo-")))
        )
        github = stack.enter_context(_github(home / "github"))
        stage = Rehearsal(github, samples, exact_searches(config)) if config else Demo(github, _CI_SECONDS[once])
        settings = _bindable(
            Settings(
                github_token=github.token,
                github_api_url=f"{github.serve()}/api/v3",
                state_dir=home / "mergeq",
                config_paths=paths or (shipped("policies"),),
                port=port,
                webhook_secrets=(github.webhook_secret,),
            )
        )
        settings = replace(settings, public_url=f"http://{settings.host}:{settings.port}")
        settings = replace(settings, redis_url=stack.enter_context(embedded_redis(settings)).url)
        stage.open()
        github.world.add_hook(f"{settings.public_url}/webhooks/github", github.webhook_secret)
        log = stack.enter_context((home / "mergeq.log").open("ab"))
        parts = _Parts(_start_parts(settings, dict(os.environ), log=log.fileno()), home / "mergeq.log")
        stack.callback(stop, list(parts.children.values()))
        _await_up(settings, parts, stopping)
        screen = stack.enter_context(closing(Screen(sys.stderr, quiet=as_json)))
        example = next(iter(github.world.repos())).full_name
        screen.say(f"the pages      {settings.public_url}/tide")
        screen.say(f"their GitHub   {github.url}   (try: git clone {github.url}/{example}.git)\n")
        ended = _settle(stage, settings, parts, stopping, screen)
        screen.close()
        verdict = stage.verdict()
        if stopping.is_set():
            click.echo("stopped before every story had ended", err=True)
        elif as_json:
            click.echo(json.dumps(verdict))
        else:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
            click.echo("\n" + "\n".join(table(verdict, width)))
        if not once and not stopping.is_set():
            pages = f"{settings.public_url}/tide, {settings.public_url}/protection"
            click.echo(f"\nThe pages stay up: {pages}  (Ctrl-C stops everything)")
            parts.watch(stopping)
        elif not (ended and verdict["ok"]) and not stopping.is_set():
            raise click.ClickException("not every story ended as expected")
    exit_for(caught)


_all_option = click.option("--all", "everything", is_flag=True, help="Every branch, those that come later too.")


@cli.command()
@click.argument("branch", metavar="[ORG/REPO:BRANCH]", required=False)
@_all_option
@why_option
@as_option
@config_option
@json_option
def pause(
    branch: str | None, why: str, name: str | None, paths: tuple[Path, ...], *, everything: bool, as_json: bool
) -> None:
    """Stop everything on a branch, or on all, until it is resumed.

    What is asked of GitHub at this moment ends; nothing is asked after it. It is done on an invalid configuration too.
    """
    target = _branch_or_all(branch, everything=everything)
    with _ordering(paths, lenient=True) as ready:
        record = operators.pause(ready, target, who(name), why)
        _say(record, f"{branch or 'everything'} is paused", as_json=as_json)
        if ready.followed.problem:
            click.echo(
                f"done without the configuration, which is invalid:\n{ready.followed.problem}",
                err=True,
            )


@cli.command()
@click.argument("branch", metavar="[ORG/REPO:BRANCH]", required=False)
@_all_option
@why_option
@as_option
@config_option
@json_option
def resume(
    branch: str | None, why: str, name: str | None, paths: tuple[Path, ...], *, everything: bool, as_json: bool
) -> None:
    """Let a branch go on after a pause or a halt; with --all what is paused with everything.

    A branch that is halted for itself stays so after --all, and is named.
    """
    target = _branch_or_all(branch, everything=everything)
    with _ordering(paths) as ready:
        record = operators.resume(ready, target, who(name), why)
        _say(record, f"{branch or 'everything'} goes on", as_json=as_json)
        for other, halt in sorted(ready.store.halts().items()):
            if target in {other, EVERYTHING} or other == EVERYTHING:
                what = "everything" if other == EVERYTHING else other
                click.echo(f"still halted: {what}, {halt.said}", err=True)


@cli.command()
@click.argument("pull", metavar="ORG/REPO#N")
@why_option
@as_option
@config_option
@json_option
def evict(pull: str, why: str, name: str | None, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Take a pull request out of its pool as it is now, until it is pushed to or tried again."""
    wanted = _pull(pull)
    with _ordering(paths) as ready:
        record = operators.evict(ready, *wanted, who(name), why)
        head = record.targets[0].sha[:7]
        _say(record, f"{pull} stays out at {head} until it is pushed to, or `mergeq retry {pull}`", as_json=as_json)


@cli.command()
@click.argument("pull", metavar="ORG/REPO#N")
@why_option
@as_option
@config_option
@json_option
def retry(pull: str, why: str, name: str | None, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Forget what is held against a pull request as it is now, and try it at once.

    That is GitHub's refusal, an eviction, and runs of it alone that did not pass.
    """
    wanted = _pull(pull)
    with _ordering(paths) as ready:
        record, held = operators.retry(ready, *wanted, who(name), why)
        things = f"{held} thing{'s' * (held != 1)}" if held else "nothing"
        _say(record, f"{pull} is tried again; {things} held against it", as_json=as_json)


_compat_option = click.option(
    "--compat", type=click.Choice(["tide"]), help="Answer as Tide does to the letter, for comparison."
)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@cli.command("explain")
@click.argument("pull", metavar="[ORG/REPO#N]", required=False)
@click.option("--file", "file", type=_file, help="A world or a pull request that was saved, in place of GitHub.")
@config_option
@json_option
def explain_command(pull: str | None, file: Path | None, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Say why a pull request is, or is not, merging.

    Everything that is missing, in every query that could take it, who can change it, and what happens next. It is
    looked at afresh on GitHub; nothing is written there.
    """
    wanted = _pull(pull) if pull else None
    if file:
        told = list(replay.explanations(replay.read(file, paths), wanted))
    elif wanted:
        with working(paths) as ready:
            ready.meet_server()
            told = replay.explain_now(ready, *wanted)
    else:
        raise click.UsageError("name a pull request as ORG/REPO#N, or give a --file")
    if not told:
        raise click.ClickException(f"{pull or file}: no open pull request by that name")
    if as_json:
        click.echo(json.dumps({"prs": [explanation_json(one) for one in told]}))
    else:
        click.echo("\n\n".join("\n".join(lines(one)) for one in told))


@cli.command("decide")
@click.option("--file", "file", type=_file, required=True, help="A world that was saved.")
@_compat_option
@config_option
@json_option
def decide_command(file: Path, compat: str | None, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Go through a recorded world again.

    Prints what would be done to each branch, and what each pull request would be told.
    """
    found = replay.decisions(replay.read(file, paths, Compat(compat or Compat.MERGEQ)))
    click.echo(json.dumps(found) if as_json else "\n".join(replay.decision_lines(found)))


@cli.command("sync")
@click.option("--once", is_flag=True, help="Look once, instead of every `sync_period`.")
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Save all that was seen in this file.")
@config_option
@json_option
def sync_command(record: Path | None, paths: tuple[Path, ...], *, once: bool, as_json: bool) -> None:
    """Look at every branch and say what would be done.

    Nothing is done, and nothing is written to GitHub. With --record all that was seen is saved, so that `mergeq decide
    --file` comes to the same anywhere.
    """
    with interruptible() as (stopping, caught), working(paths) as ready:
        ready.meet_server()
        while True:
            unreadable: dict[str, str] = {}
            seen = replay.take_down(ready, sweep.nominated(ready, unreadable))
            seen["unreadable"] |= unreadable
            if record:
                _write_json(record, seen)
            found = replay.decisions(replay.of(seen))
            if as_json or found["branches"] or not seen["unreadable"]:
                click.echo(json.dumps(found) if as_json else "\n".join(replay.decision_lines(found)))
            for about, why in seen["unreadable"].items():
                click.echo(f"not read: {about}: {why}", err=True)
            if once or stopping.wait(ready.config.sweep_period):
                break
    exit_for(caught)
    if seen["unreadable"]:
        sys.exit(1)


@cli.command("doctor")
@click.argument("repo", metavar="ORG/REPO")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Instead, try on ORG/REPO what GitHub leaves open, and save in this file how the sandbox differs.",
)
@click.option("--yes", is_flag=True, help="With --record: ORG/REPO is there to be spoiled.")
@config_option
@json_option
def doctor_command(repo: str, record: Path | None, paths: tuple[Path, ...], *, yes: bool, as_json: bool) -> None:
    """Say what stands in mergeq's way on ORG/REPO, and what to do; exit 1 if anything does.

    Nothing is written, unless --record is given. With a configuration, what it names is compared with what is there.
    """
    if record:
        if as_json:
            raise click.UsageError("--record writes its JSON into the file; leave out --json")
        if not yes:
            what = (
                f"--record makes branches, pull requests, protection and rulesets on {repo}, archives it for a moment"
            )
            raise click.UsageError(f"{what}, and removes them; add --yes if it is there to be spoiled")
        _record_differences(repo_of(repo), settings_of(paths), record)
        return
    found = doctor.examine(settings_of(paths), repo_of(repo))
    click.echo(json.dumps(found) if as_json else "\n".join(doctor.lines(found)))
    if not found["ok"]:
        sys.exit(1)


@cli.group("github-app")
def github_app_group() -> None:
    """Be a GitHub App rather than the bearer of a token."""


@github_app_group.command("create")
@click.option("--org", default="", help="The organization that shall own the App; else it is yours.")
@click.option("--name", default="mergeq", show_default=True, help="What it is called; unique on GitHub.")
@click.option("--url", default="", help="Where mergeq's pages are seen from outside. Default: MERGEQ_PUBLIC_URL.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Where its key and its environment file go. Default: here.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to wait on 127.0.0.1; 0 chooses.")
def github_app_create(org: str, name: str, url: str, folder: Path, port: int) -> None:
    """Register a GitHub App with exactly the permissions that mergeq needs, and keep its key.

    It opens a page of this machine that leads to GitHub and back; everything secret goes into files of mode 0600.
    """
    settings = Settings.from_environment({**os.environ, **({"MERGEQ_PUBLIC_URL": url} if url else {})})
    registering = register.Registering(settings, org, name, folder)
    with interruptible() as (stopping, caught), closing(register.Visit(registering, port)) as visit:
        click.echo(f"open {visit.url} in a browser of this machine  (Ctrl-C gives up)", err=True)
        if sys.stdout.isatty():
            click.launch(visit.url)
        made = registering.run(visit, stopping)
    if made:
        click.echo("\n".join(register.next_steps(made, folder)))
    exit_for(caught)


cli.add_command(protect)


@cli.group("config")
def config_group() -> None:
    """Look at a configuration without running anything."""


@config_group.command("check")
@config_option
@json_option
def config_check(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Say everything that is wrong with a configuration; exit 1 if it cannot be used."""
    now = time.time()  # noqa: TID251 -- whoever checks a file wants to know of today
    found = resolve.check(settings_of(paths).config_paths, now)
    for kind in ("problem", "warning") if not as_json else ():
        for line in found[f"{kind}s"]:
            click.echo(f"{kind}: {line['where']}: {line['says']}")
    files, queries = counted(len(found["files"]), "file"), counted(found["queries"], "query", "queries")
    verdict = f"ok: {files}, {queries}, {counted(len(found['warnings']), 'warning')}"
    if not found["ok"]:
        verdict = f"{counted(len(found['problems']), 'problem')}: this configuration cannot be used"
    click.echo(json.dumps(found) if as_json else verdict)
    if not found["ok"]:
        sys.exit(1)


@config_group.command("queries")
@config_option
@json_option
@click.option("--compat", type=click.Choice(["tide"]), help="The searches that Tide sends, to compare with.")
def config_queries(paths: tuple[Path, ...], *, as_json: bool, compat: str | None) -> None:
    """Print the searches that nominate pull requests, each as it is sent to GitHub, under the query it comes from.

    With --compat tide: what Tide sends, with a token all in one, and as a GitHub App one for each organisation.
    """
    config = load(settings_of(paths).config_paths)
    now = time.time()  # noqa: TID251 -- a window of time in a text for people
    found = resolve.queries_of_tide(config, now) if compat else resolve.queries_of(config)
    if as_json:
        click.echo(json.dumps(found))
        return
    for query in found["queries"]:
        click.echo(f"# query {query['index']}, {', '.join(query['from'])}")
        if compat:
            click.echo(query["search"])
        if compat and len(query["searches"]) > 1:
            click.echo("# the same as a GitHub App")
        if not compat or len(query["searches"]) > 1:
            click.echo("\n".join(query["searches"]))


@config_group.command("resolve")
@click.argument("branch")
@config_option
@json_option
def config_resolve(branch: str, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Show everything that is in force on BRANCH, given as ORG/REPO:BRANCH, and where each value stands."""
    found = resolve.resolve(settings_of(paths).config_paths, branch_of(branch))
    click.echo(json.dumps(found.as_json()) if as_json else "\n".join(found.lines()))


@config_group.command("diff")
@click.argument("old")
@click.argument("new")
@json_option
def config_diff(old: str, new: str, *, as_json: bool) -> None:
    """Show what changes in effect when the configuration NEW takes the place of OLD; exit 2 if anything does.

    Each is a file or a folder, or several of them joined as in MERGEQ_CONFIG.
    """
    found = changes(*([Path(path) for path in side.split(os.pathsep) if path] for side in (old, new)))
    click.echo(json.dumps(found.as_json()) if as_json else "\n".join(found.lines()))
    if found.pending:
        sys.exit(2)


@config_group.command("schema")
@click.argument("name", required=False)
@json_option
def config_schema(name: str | None, *, as_json: bool) -> None:
    """Print the JSON Schema called NAME, in one piece; without one, list what there is."""
    if name:
        try:
            click.echo(json.dumps(schemas.schema(name), indent=2, ensure_ascii=False))
        except LookupError as error:
            raise click.UsageError(str(error.args[0])) from error
        return
    found = schemas.titles()
    if as_json:
        click.echo(json.dumps({"schemas": [{"name": one, "title": title} for one, title in found.items()]}))
    for one, title in found.items() if not as_json else ():
        click.echo(f"{one:<{max(map(len, found))}}  {title}")


def _branch_or_all(branch: str | None, *, everything: bool) -> Branch:
    if bool(branch) is everything:
        raise click.UsageError("name a branch as ORG/REPO:BRANCH, or give --all")
    return branch_of(branch) if branch else EVERYTHING


@contextmanager
def _ordering(paths: tuple[Path, ...], *, lenient: bool = False) -> Iterator[Services]:
    with working(paths, lenient=lenient) as ready:
        try:
            yield ready
        except operators.NotDone as error:
            raise click.ClickException(str(error)) from error


def _say(record: HistoryRecord, line: str, *, as_json: bool) -> None:
    click.echo(json.dumps(listed_json(record)) if as_json else line)


def _record_differences(repo: str, settings: Settings, file: Path) -> None:
    """Try everything that is uncertain on a GitHub and on the sandbox, print each as it comes, and save all."""
    with ExitStack() as stack:
        theirs = stack.enter_context(closing(connect_github(settings)))
        github = stack.enter_context(_github(None))
        simulated = github.world.create_repo(repo, files={"README.md": "To be spoiled.\n"}, ci=None)
        ours = Settings(github_token=github.token, github_api_url=f"{github.serve()}/api/v3")
        sandbox = stack.enter_context(closing(connect_github(ours)))
        found = []
        try:
            about = probes.circumstances(theirs, repo)
            simulated.owner_is_user = about.is_personal
            if about.lacks_workflows:
                github.world.faults.add("policy.no_workflows", times=None)
            both = [
                probes.Scratch(client, repo, time.sleep, about)  # noqa: TID251 -- a real GitHub takes real time
                for client in (theirs, sandbox)
            ]
            for probe in probes.PROBES:
                found += [probes.compared(probe, *both)]
                click.echo("\n".join(probes.lines(found[-1])))
        except Unreadable as error:
            raise click.ClickException(f"{error}; check the name and the credentials") from error
    _write_json(file, {"repo": repo, "github": settings.github_api_url, "probes": found})
    click.echo(f"{sum(not one['same'] for one in found)} of {len(found)} differ; all of it is in {file}")


def _pull(text: str) -> tuple[str, int]:
    repo, hash_sign, number = text.partition("#")
    if not hash_sign or repo.count("/") != 1 or not (number.isascii() and number.isdigit()):
        raise click.UsageError(f"{text!r} is not of the form ORG/REPO#N")
    return repo, int(number)


def _write_json(file: Path, document: Mapping[str, Any]) -> None:
    try:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written ({error.strerror}); choose another file") from error


def _github(folder: Path | None) -> "Sandbox":
    """A sandbox with its repositories in a folder; refused when that holds an earlier run's, or there is no git."""
    from mergeq.sandbox import Sandbox  # noqa: PLC0415 -- as above

    if shutil.which("git") is None:
        raise click.ClickException(
            "git is missing, and the sandbox's repositories are real; install it: apt-get install git"
        )
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise click.ClickException(f"{folder}: holds repositories already; remove it, or choose another --state")
    return Sandbox(folder)


def _bindable(settings: Settings) -> Settings:
    """The settings with a port that is free now. Raises ConfigError when the wanted one is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise ConfigError(
                f"{where}: cannot listen there ({error.strerror}); choose another by MERGEQ_LISTEN or --port"
            ) from error
        return replace(settings, port=probe.getsockname()[1])


def _start_parts(settings: Settings, env: Mapping[str, str], *, log: int | None = None) -> dict[str, Any]:
    """Start web, two workers and tick as children, each as its own command, told everything by its environment.

    What they say goes to the file descriptor `log`, or where our own output goes.
    """
    told = {
        **env,
        "GITHUB_TOKEN": settings.github_token,
        "GITHUB_APP_ID": settings.github_app_id,
        "GITHUB_APP_PRIVATE_KEY_FILE": settings.github_app_key_file,
        "GITHUB_API_URL": settings.github_api_url,
        "MERGEQ_REDIS_URL": settings.redis_url,
        "MERGEQ_STATE_DIR": str(settings.state_dir),
        "MERGEQ_CONFIG": os.pathsep.join(str(path.absolute()) for path in settings.config_paths),
        "MERGEQ_LISTEN": f"{settings.host}:{settings.port}",
        "MERGEQ_PUBLIC_URL": settings.public_url,
        "MERGEQ_WEBHOOK_SECRET": settings.webhook_secrets[0] if settings.webhook_secrets else "",
        "MERGEQ_LOG": settings.log_format,
    }
    told["MERGEQ_WEBHOOK_SECRET_PREVIOUS"] = settings.webhook_secrets[1] if len(settings.webhook_secrets) > 1 else ""
    program = [sys.executable, "-c", "from mergeq.cli import main; main()"]
    return {
        name: start([*program, command], env=told, output=log, death=signal.SIGKILL) for name, command in _PARTS.items()
    }


@dataclass(frozen=True, slots=True)
class _Parts:
    """The children that do the work, and the file they log to unless that is our own output."""

    children: Mapping[str, Any]
    log: Path | None = None

    def watch(self, stopping: threading.Event) -> None:
        """Wait until `stopping` is set; raises ClickException when a child ends by itself."""
        if watch(self.children, stopping):
            self.check()

    def check(self) -> None:
        """Raises ClickException when a child has ended, after what it said last."""
        for name, child in self.children.items():
            if child.poll() is not None:
                if self.log is not None:
                    words = self.log.read_text(errors="replace").splitlines()
                    click.echo("\n".join(words[-_LAST_WORDS:]), err=True)
                raise click.ClickException(
                    f"mergeq {name} ended by itself (exit {child.returncode}); its last words are above"
                )

    def pass_on(self, number: signal.Signals) -> None:
        """Send a signal to all."""
        for child in self.children.values():
            child.send_signal(number)


def _await_up(settings: Settings, parts: _Parts, stopping: threading.Event) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while not stopping.wait(0.1) and _health(settings) is None:
        parts.check()
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"mergeq did not answer on {settings.host}:{settings.port} within {_UP_SECONDS:.0f} s"
            )


def _settle(
    stage: "Demo | Rehearsal", settings: Settings, parts: _Parts, stopping: threading.Event, screen: "Screen"
) -> bool:
    """Wait until every story has ended and nothing moves any more; False when that takes too long."""
    told: dict[str, str] = {}
    began, quiet = time.monotonic(), 0
    while quiet < 3 and (passed := time.monotonic() - began) < _SETTLE_SECONDS and not stopping.wait(0.25):
        parts.check()
        stage.step()
        verdict = stage.verdict()
        for row in verdict["prs"]:
            news = _news(row, is_first=row["pr"] not in told)
            if news and told.get(row["pr"]) != news:
                told[row["pr"]] = news
                screen.say(f"{passed:5.1f} s  {row['pr']:<20}{news}")
        for row in verdict["rules"]:
            if (news := _rule_news(row)) and told.get(row["target"]) != news:
                told[row["target"]] = news
                screen.say(f"{passed:5.1f} s  {row['target']:<20}{news}")
        stories = [*verdict["prs"], *verdict["rules"]]
        done = sum(row["outcome"] == row["expected"] for row in stories)
        screen.progress(f"{passed:5.0f} s  {done} of {len(stories)} as they should end")
        health = _health(settings)
        quiet = quiet + 1 if verdict["ok"] and stage.is_quiet() and health and health["idle"] else 0
    return quiet >= 3


def _news(row: Mapping[str, Any], *, is_first: bool) -> str:
    """What there is to tell of a pull request now; empty while its newest head has no status."""
    says = "; ".join(row["reasons"])
    if row["landed_sha"] is not None:
        return f"landed  {_told(row)}"
    if is_first:
        return f"opened  {row['story']}"
    what = "waits" if says.startswith(_NOT_YET) else row["outcome"]
    return f"{what:<8}{says.removeprefix(_NOT_YET)}" if says else ""


def _rule_news(row: Mapping[str, Any]) -> str:
    """What there is to tell of a rule now; empty while there is none."""
    requires = f"requires {', '.join(row['now'] or ()) or 'nothing'}"
    told = {
        "untouched": f"guarded {requires}",
        "loosened": f"loosened by {row['by']}: {requires}",
        "repaired": f"repaired {requires} again",
    }
    return told.get(row["outcome"], "")


def _rule_told(row: Mapping[str, Any]) -> str:
    """What was made of a rule, and what it is now."""
    left, now = (", ".join(row[name] or ()) or "nothing" for name in ("loosened", "now"))
    touched = "" if row["before"] is None else f"{row['by']} left {left} required; "
    return f"{touched}GitHub requires {now} now"


def _health(settings: Settings) -> dict[str, Any] | None:
    try:
        with urlopen(f"http://{settings.host}:{settings.port}/healthz", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
            return health
    except (URLError, OSError, ValueError):
        return None


class Screen:
    """Where the demo tells what happens: a line for each thing that does unless it is to be `quiet`, and on a terminal
    a last line that is drawn over again and says how far it is.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._redraws = stream.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}
        self._shown = ""

    def say(self, line: str) -> None:
        """Print a line for good."""
        if not self._quiet:
            self._stream.write(f"{self._wiped()}{line}\n{self._shown}")
            self._stream.flush()

    def progress(self, text: str) -> None:
        """Replace the last line; nothing where lines cannot be drawn over."""
        if self._redraws and text != self._shown:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(self._wiped() + text[:width])
            self._stream.flush()
            self._shown = text[:width]

    def close(self) -> None:
        """Leave nothing behind but lines."""
        self._stream.write(self._wiped())
        self._stream.flush()
        self._shown = ""

    def _wiped(self) -> str:
        return "\r\x1b[2K" if self._shown else ""


def table(verdict: Mapping[str, Any], width: int) -> list[str]:
    """Every pull request and rule, its story, what happened and why. A line keeps to `width` characters; 0 is any."""
    header = ("PULL REQUEST", "STORY", "HAPPENED", "WHY")
    rows = [(row["pr"], row["story"], _happened(row), _told(row)) for row in verdict["prs"]]
    rows += [(row["target"], row["story"], _happened(row), _rule_told(row)) for row in verdict["rules"]]
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(4)]
    if width:
        left = max(width - widths[0] - widths[2] - 6, 40)
        widths[1] = min(widths[1], left // 2)
        widths[3] = min(widths[3], left - widths[1])
    lines = []
    for line in (header, *rows):
        cells = [textwrap.wrap(text, room) or [""] for text, room in zip(line, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (part.ljust(room) for part, room in zip(parts, widths, strict=True))
            lines += ["  ".join(padded).rstrip()]
    landed = sum(row["outcome"] == "landed" for row in verdict["prs"])
    judgement = "as expected" if verdict["ok"] else "NOT as expected"
    return [*lines, "", f"{judgement}: {len(rows)} stories, {landed} landed"]


def _happened(row: Mapping[str, Any]) -> str:
    ended: str = row["outcome"]
    return ended if ended == row["expected"] else f"{ended}, NOT {row['expected']}"


def _told(row: Mapping[str, Any]) -> str:
    """Why a pull request is where it is: what it landed as, else what its status says."""
    if row["landed_sha"] is None:
        return "; ".join(row["reasons"])
    tested = "the tree that was tested" if row["tested_tree"] == row["landed_tree"] else "green on its own head"
    return f"as {row['landed_sha'][:7]}, {tested}"


@contextmanager
def _at_hangup(act: Callable[[], None]) -> Iterator[None]:
    """Do `act` at each SIGHUP: by custom it asks to read the configuration again."""
    before = signal.signal(signal.SIGHUP, lambda _number, _frame: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
