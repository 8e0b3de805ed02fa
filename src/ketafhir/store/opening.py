"""Opening the store that a setting names: a file, or the URL of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from ketafhir.errors import StoreError
from ketafhir.store.tables import TableStore

_SCHEMES = ("postgresql://", "postgres://")


def is_url(place: str | Path) -> bool:
    """Whether a PostgreSQL database is meant, and no file."""
    return str(place).startswith(_SCHEMES)


def open_store(place: str | Path, *, create: bool = True) -> TableStore:
    """The store at `place`. Without `create` one that is not there is refused. Raises StoreError."""
    if is_url(place):
        try:
            from ketafhir.store.postgresql import PostgresStore
        except ImportError as error:
            raise StoreError("a store on PostgreSQL needs psycopg: pip install 'ketafhir[postgresql]'") from error
        return PostgresStore(str(place), create=create)
    from ketafhir.store.sqlite import SqliteStore

    return SqliteStore(place, create=create)


def shown(place: str | Path) -> str:
    """The place as it may be printed: of a URL only host and database."""
    if not is_url(place):
        return str(place)
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(str(place))
    except ValueError:
        return "postgresql://"
    return f"postgresql://{parts.hostname or ''}{parts.path}"
