"""git over HTTP: clones for everybody, pushes with a token, by git's own CGI program on the real repositories."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from flask import Blueprint, Response, request

from mergeq.sandbox import receive_pack, refs
from mergeq.sandbox.callers import Caller
from mergeq.sandbox.git import ZERO, clean_environment
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import NotSimulatedError
from mergeq.sandbox.site import site, token_of, world

git = Blueprint("git", __name__)
_CHUNK = 65_536
_SERVICES = ("git-upload-pack", "git-receive-pack")
_BASE = "/<owner>/<repo>.git"


@cache
def _program() -> str:
    command = ("git", "--exec-path")
    folder = subprocess.run(command, check=True, capture_output=True, text=True, env=clean_environment()).stdout
    return str(Path(folder.strip()) / "git-http-backend")


@git.get(f"{_BASE}/info/refs")
def _advertise(owner: str, repo: str) -> Response:
    return _answer(owner, repo, "info/refs", request.args.get("service", ""))


@git.post(f"{_BASE}/<service>")
def _serve(owner: str, repo: str, service: str) -> Response:
    return _answer(owner, repo, service, service)


def _answer(owner: str, repo: str, path: str, service: str) -> Response:
    if service not in _SERVICES:
        return Response(f"not simulated: git service {service!r}\n", 501, mimetype="text/plain")
    found = world().find_repo(f"{owner}/{repo}")
    site().hits.add(f"git:{service}" if path == service else f"git:{service} refs")
    token = token_of(request)
    with world().lock:
        grant = None if token is None else world().users.grant_of_token(token, world().now())
        former = world().moved_repo(f"{owner}/{repo}") if found is None else None
    who = Caller(world(), grant)
    login = who.login
    if (token is not None and login is None) or (service == "git-receive-pack" and login is None):
        asks = {"WWW-Authenticate": 'Basic realm="GitHub"'}
        return Response("Invalid username or token.\n", 401, asks, mimetype="text/plain")
    if former is not None and who.sees(former) and path == "info/refs":
        return Response(status=301, headers={"Location": f"/{former.full_name}.git/{path}?service={service}"})
    if found is None or not who.sees(found):
        return Response("Repository not found.\n", 404, mimetype="text/plain")
    if not who.may(({"contents": "write" if service == "git-receive-pack" else "read"},), found):
        return Response(f"Permission to {found.full_name}.git denied to {login}.\n", 403, mimetype="text/plain")
    if service == "git-receive-pack" and login is not None:
        why = receive_pack.denied(found, login)
        if why is not None:
            return Response(f"{why}\n", 403, mimetype="text/plain")
        if path == service:
            return _receive(found, login)
    return _stream(_start(found, path, None))


def _receive(repo: Repo, login: str) -> Response:
    """Take a push with nobody else acting meanwhile, then do what GitHub does after one."""
    here = world()
    with here.lock, _spooled() as spool:
        repo.git.reload()
        before = dict(repo.git.refs())
        push = receive_pack.read_push(_plain(spool))
        said = receive_pack.rulings(here, repo, push, spool, login)
        web = f"{request.host_url}{repo.full_name}"
        if any(ruling.message for ruling in said.values()):
            body = receive_pack.carry_out_rest(repo, push, said, web)
            answer = Response(body, content_type="application/x-git-receive-pack-result")
        else:
            answer = _collected(_spawn(repo, "git-receive-pack", login, spool))
            answer.set_data(receive_pack.told(push, said, web) + answer.get_data())
        repo.git.reload()
        after = repo.git.refs()
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, ZERO), after.get(ref, ZERO)
            if old != new:
                refs.moved(here, repo, ref, old, new, login)
    return answer


def _plain(spool: IO[bytes]) -> IO[bytes]:
    """The request's text; git compresses what it asks, never what it pushes."""
    if "Content-Encoding" in request.headers:
        raise NotSimulatedError("a compressed push")
    spool.seek(0)
    return spool


def _start(repo: Repo, path: str, login: str | None) -> subprocess.Popen[bytes]:
    with _spooled() as spool:
        return _spawn(repo, path, login, spool)


@contextmanager
def _spooled() -> Iterator[IO[bytes]]:
    """The request's body as a file, so that chunked and gzipped ones work."""
    with tempfile.TemporaryFile() as spool:
        while chunk := request.stream.read(_CHUNK):
            spool.write(chunk)
        yield spool


def _spawn(repo: Repo, path: str, login: str | None, spool: IO[bytes]) -> subprocess.Popen[bytes]:
    """Run the CGI program on a request's body."""
    size = spool.seek(0, os.SEEK_END)
    spool.seek(0)
    environment = clean_environment() | {
        "GIT_PROJECT_ROOT": str(world().root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.full_name}.git/{path}",
        "QUERY_STRING": request.query_string.decode(),
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(size),
        "REMOTE_ADDR": "127.0.0.1",
    }
    for variable, header in (("HTTP_CONTENT_ENCODING", "Content-Encoding"), ("GIT_PROTOCOL", "Git-Protocol")):
        if header in request.headers:
            environment[variable] = request.headers[header]
    if login is not None:
        environment["REMOTE_USER"] = login
    return subprocess.Popen(
        (_program(),), stdin=spool, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def _head(output: IO[bytes]) -> tuple[int, Mapping[str, str]]:
    """The CGI answer's status and headers."""
    status, headers = 200, {}
    while line := output.readline().strip():
        name, _, value = line.decode().partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    return status, headers


def _collected(process: subprocess.Popen[bytes]) -> Response:
    with process:
        output = _output(process)
        status, headers = _head(output)
        return Response(output.read(), status, headers)


def _stream(process: subprocess.Popen[bytes]) -> Response:
    output = _output(process)
    status, headers = _head(output)
    answer = Response(_chunks(output), status, headers)
    answer.call_on_close(lambda: _finish(process))
    return answer


def _chunks(output: io.BufferedReader) -> Iterator[bytes]:
    while chunk := output.read1(_CHUNK):
        yield chunk


def _output(process: subprocess.Popen[bytes]) -> io.BufferedReader:
    if not isinstance(process.stdout, io.BufferedReader):
        raise TypeError("the program was started with a pipe")
    return process.stdout


def _finish(process: subprocess.Popen[bytes]) -> None:
    """End a program whose client may have gone away."""
    if process.poll() is None:
        process.terminate()
    with process:
        process.wait()
