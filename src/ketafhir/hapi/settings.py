"""What a server is started with, and the command line that this makes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ketafhir.errors import FhirServerError

DEFAULT_PORT = 8090
_SECRETS = ("token", "jdbc_password", "keystore_password")


@dataclass(slots=True, frozen=True)
class Settings:
    """Where the server listens and stores, and whom it lets in.

    `port` 0 takes a free one. Without `data_dir` and `jdbc_url` everything is in memory and gone when it
    stops. With `token` every request needs `Authorization: Bearer`; with `keystore` (PKCS#12 or JKS) the
    endpoint is https. Each secret may be given as text, as a file, or in the environment (FHIR_SERVER_TOKEN,
    FHIR_SERVER_JDBC_PASSWORD, FHIR_SERVER_KEYSTORE_PASSWORD); a text reaches the server by its environment,
    never by its arguments. `heap` is the JVM's, as in `1g`. `long_running` compiles fully: a slower start,
    then up to twice the throughput.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data_dir: Path | None = None
    jdbc_url: str | None = None
    jdbc_user: str | None = None
    jdbc_password: str | None = None
    jdbc_password_file: Path | None = None
    token: str | None = None
    token_file: Path | None = None
    keystore: Path | None = None
    keystore_password: str | None = None
    keystore_password_file: Path | None = None
    heap: str = "1g"
    long_running: bool = False

    def __post_init__(self) -> None:
        if self.data_dir is not None and self.jdbc_url is not None:
            raise FhirServerError("a data directory and a JDBC URL exclude each other")
        for file in (self.token_file, self.jdbc_password_file, self.keystore, self.keystore_password_file):
            if file is not None and not file.is_file():
                raise FhirServerError(f"no such file: {file}")

    @property
    def base(self) -> str:
        """Scheme, host and port of the endpoint, as far as they are known before it runs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.keystore else 'http'}://{host}:{self.port}"

    @property
    def in_memory(self) -> bool:
        """Whether the data are gone when it stops."""
        return self.data_dir is None and (self.jdbc_url is None or self.jdbc_url.startswith("jdbc:h2:mem:"))

    @property
    def protected(self) -> bool:
        """Whether a bearer token is asked for, by these settings or by the environment."""
        return bool(
            self.token
            or self.token_file
            or os.environ.get("FHIR_SERVER_TOKEN")
            or os.environ.get("FHIR_SERVER_TOKEN_FILE")
        )

    def environment(self) -> dict[str, str]:
        """This process's environment with the secrets given as text."""
        given = {f"FHIR_SERVER_{name.upper()}": getattr(self, name) for name in _SECRETS}
        return os.environ | {name: value for name, value in given.items() if value is not None}

    def command(self, java: str, jar: Path, ready_file: Path) -> list[str]:
        """The command that runs the server. `ready_file` names it: no two running servers have the same."""
        properties = {
            "host": self.host,
            "port": self.port,
            "ready.file": ready_file,
            "data": _absolute(self.data_dir),
            "jdbc.url": self.jdbc_url,
            "jdbc.user": self.jdbc_user,
            "jdbc.password.file": _absolute(self.jdbc_password_file),
            "token.file": _absolute(self.token_file),
            "keystore": _absolute(self.keystore),
            "keystore.password.file": _absolute(self.keystore_password_file),
        }
        return [
            java,
            f"-Xmx{self.heap}",
            "-XX:+UseSerialGC",  # half the resident memory of the default collector
            *([] if self.long_running else ["-XX:TieredStopAtLevel=1"]),  # half the CPU time of a start
            "-XX:+ExitOnOutOfMemoryError",
            "-Dfile.encoding=UTF-8",
            "-Djava.awt.headless=true",
            *(f"-Dfhir.server.{name}={value}" for name, value in properties.items() if value is not None),
            "-jar",
            str(jar),
        ]


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
