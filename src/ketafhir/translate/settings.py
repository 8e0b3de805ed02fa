"""What a translation depends on beside the message: tables, time zone, authorities."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ketafhir.errors import ConfigError
from ketafhir.mapping.context import Context
from ketafhir.mapping.tables import Tables, digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from ketafhir.translate.pump_orders import PumpOrders


_MOST_SENDERS = 64


class Settings:
    """Tables (with the overlay of one site), zone and authorities; made once, used for many messages.

    `pump` allows orders to pumps (RGV^O15); without it there are none.
    """

    __slots__ = ("_digest", "_read", "authorities", "default_authority", "pump", "tables", "zone")

    def __init__(
        self,
        tables: Tables,
        zone: ZoneInfo | None = None,
        authorities: dict[str, str] | None = None,
        default_authority: str = "",
        pump: PumpOrders | None = None,
    ) -> None:
        self.tables, self.zone = tables, zone
        self.authorities = authorities or {}
        self.default_authority = default_authority
        self.pump = pump
        self._digest = ""
        self._read: dict[str, dict[tuple[Any, ...], Any]] = {}

    def allowing(self, pump: PumpOrders | None) -> Settings:
        """The same settings, with or without orders to pumps."""
        return Settings(self.tables, self.zone, self.authorities, self.default_authority, pump)

    def context(self, local: str = "") -> Context:
        """A fresh context for one translation; `local` is the system of numbers that come without authority."""
        c = Context(self.zone)
        c.local = local
        if len(self._read) > _MOST_SENDERS:
            self._read.clear()
        c.read = self._read.setdefault(local, {})
        for name, system in self.authorities.items():
            c.authority(name, system)
        c.default_authority = self.default_authority
        return c

    @property
    def version(self) -> str:
        """The version of the tables at work, for Provenance."""
        if not self._digest:
            self._digest = digest(self.tables)
        return self._digest

    @property
    def site(self) -> str:
        """The name of the site overlay, or ""."""
        return self.tables.site.name if self.tables.site else ""


def of_feed(timezone: str, site: str, authorities: Mapping[str, str], default_authority: str) -> Settings:
    """The settings of one feed; empty texts where there is none. Raises ConfigError, TableError."""
    return Settings(_tables(site or None), zone(timezone) if timezone else None, dict(authorities), default_authority)


@lru_cache(maxsize=16)
def default(
    timezone: str | None = None, site: str | None = None, authorities: tuple[tuple[str, str], ...] = ()
) -> Settings:
    """The settings for a zone name, a site (a folder, or the name of one of the example sites) and authorities: name and FHIR
    system of each, and `default`, which is the name or the system of one. Raises ConfigError, TableError."""
    systems, usual = _named(authorities) if authorities else ({}, "")
    return Settings(_tables(site), zone(timezone) if timezone else None, systems, usual)


def _named(authorities: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], str]:
    from ketafhir.hl7v2.authorities import systems_of

    return systems_of(dict(authorities))


@lru_cache(maxsize=16)
def _tables(site: str | None) -> Tables:
    if not site:
        return Tables()
    from ketafhir.mapping.site import folder

    return Tables(folder(site))


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises ConfigError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"there is no time zone {name!r}: use an IANA name such as America/Chicago") from error
