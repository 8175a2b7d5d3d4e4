"""The process's settings: read from the environment once, at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mergeq.config.documents import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. `secrets` are those that a configuration may name, by their variables. Secrets are
    kept out of `repr` by `__repr__`; nothing here is ever written to Redis.
    """

    github_token: str = ""
    github_app_id: str = ""
    github_app_key_file: str = ""
    protection_app_id: str = ""
    protection_app_key_file: str = ""
    github_api_url: str = "https://api.github.com"
    redis_url: str = ""
    state_dir: Path = Path()
    config_paths: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    webhook_secrets: tuple[str, ...] = ()
    log_format: str = "console"
    secrets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read every variable mergeq knows. Raises ConfigError with a line per variable that cannot be used."""
        problems = []
        host, _, port = env.get("MERGEQ_LISTEN", "127.0.0.1:8080").rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535) or not host:
            problems.append("MERGEQ_LISTEN: must be HOST:PORT, for example 127.0.0.1:8080")
            port = "0"
        api = env.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
        for name, url in (("GITHUB_API_URL", api), ("MERGEQ_PUBLIC_URL", env.get("MERGEQ_PUBLIC_URL", ""))):
            if url and not _is_web_address(url):
                problems.append(f"{name}: must be an http or https URL")
        log_format = env.get("MERGEQ_LOG", "console")
        if log_format not in {"console", "json"}:
            problems.append("MERGEQ_LOG: must be console or json")
        app = {name: env.get(name, "") for name in ("GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY_FILE")}
        if env.get("GITHUB_TOKEN") and any(app.values()):
            problems.append("GITHUB_TOKEN: is set beside a GitHub App's variables; keep one of the two")
        halves = ("MERGEQ_PROTECTION_APP_ID", "MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE")
        protection = {name: env.get(name, "") for name in halves}
        problems += [
            f"{name}: is not set, but the other half of the GitHub App is; set both"
            for both in (app, protection)
            for name in both
            if not both[name] and any(both.values())
        ]
        if problems:
            raise ConfigError(*problems)
        secrets = (env.get("MERGEQ_WEBHOOK_SECRET", ""), env.get("MERGEQ_WEBHOOK_SECRET_PREVIOUS", ""))
        return cls(
            github_token=env.get("GITHUB_TOKEN", ""),
            github_app_id=env.get("GITHUB_APP_ID", ""),
            github_app_key_file=env.get("GITHUB_APP_PRIVATE_KEY_FILE", ""),
            protection_app_id=env.get("MERGEQ_PROTECTION_APP_ID", ""),
            protection_app_key_file=env.get("MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE", ""),
            github_api_url=api,
            redis_url=env.get("MERGEQ_REDIS_URL", ""),
            state_dir=_state_dir(env),
            config_paths=tuple(Path(path) for path in env.get("MERGEQ_CONFIG", "").split(os.pathsep) if path),
            host=host,
            port=int(port),
            public_url=env.get("MERGEQ_PUBLIC_URL", "").rstrip("/"),
            webhook_secrets=tuple(secret for secret in secrets if secret),
            log_format=log_format,
            secrets={name: value for name, value in env.items() if name.startswith("MERGEQ_SECRET_") and value},
        )

    @property
    def graphql_url(self) -> str:
        """Where GraphQL is: beside ``…/api/v3`` on Enterprise Server, else below the API's own host."""
        if self.github_api_url.endswith("/api/v3"):
            return self.github_api_url.removesuffix("/v3") + "/graphql"
        return self.github_api_url + "/graphql"

    def __repr__(self) -> str:
        return f"Settings({self.github_api_url}, {self.host}:{self.port}, state in {self.state_dir})"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _state_dir(env: Mapping[str, str]) -> Path:
    if chosen := env.get("MERGEQ_STATE_DIR"):
        return Path(chosen).absolute()
    home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local" / "state")
    return Path(home) / "mergeq"
