"""How a step reaches the database that it works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

_ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "application_name": "PGAPPNAME",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and how to reach it. Its `repr` shows no password.

    Before the promote this is the staged database, under a name of its own; afterwards it is the one
    in service.

    Attributes:
        parameters: The connection parameters as libpq names them, without the password.
        password: The password, if the engine knows one.
    """

    parameters: Mapping[str, str]
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of the database."""
        return self.parameters["dbname"]

    @property
    def host(self) -> str:
        """The host, or the folder of the server's Unix socket."""
        return self.parameters["host"]

    @property
    def port(self) -> int:
        """The port."""
        return int(self.parameters["port"])

    @property
    def user(self) -> str:
        """The role."""
        return self.parameters["user"]

    def connect_args(self) -> dict[str, str]:
        """Arguments for `psycopg.connect(**database.connect_args())`, the password among them."""
        if self.password is None:
            return dict(self.parameters)
        return {**self.parameters, "password": self.password}

    def url(self, driver: str = "postgresql") -> str:
        """The database as a URL, the password in it, for example for
        `sqlalchemy.create_engine(database.url("postgresql+psycopg"))`.
        """
        rest = {k: v for k, v in self.parameters.items() if k not in ("dbname", "user")}
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        where = ""
        if not self.host.startswith("/"):
            host = rest.pop("host")
            where = f"[{host}]" if ":" in host else host
            where += f":{rest.pop('port')}"
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in rest.items())
        return f"{driver}://{login}@{where}/{quote(self.name, safe='')}?{query}"

    def environ(self) -> dict[str, str]:
        """The PG* variables for a program that is started for this database."""
        arguments = self.connect_args()
        return {_ENVIRONMENT[name]: value for name, value in arguments.items()}

    def django(self) -> dict[str, Any]:
        """An entry of Django's `DATABASES`."""
        beside = ("host", "port", "dbname", "user")
        options = {k: v for k, v in self.parameters.items() if k not in beside}
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "USER": self.user,
            "PASSWORD": self.password or "",
            "HOST": self.host,
            "PORT": str(self.port),
            "OPTIONS": options,
        }
