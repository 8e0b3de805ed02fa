"""What a configuration says that makes no sense, once each of its settings is of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ketafhir.config.addresses import check_database, check_host, check_origin, check_url
from ketafhir.config.public import is_public
from ketafhir.config.sections import Config
from ketafhir.config.tokens import is_loopback

PASSWORD_VARIABLE = "KETAFHIR_FHIR_PASSWORD"  # noqa: S105  # the name of a variable


def problems(config: Config) -> Iterator[str]:
    """Each with its section and setting, and what it is to be."""
    yield from _addresses(config)
    yield from _settings(config)
    yield from open_listeners(config)


def open_listeners(config: Config) -> Iterator[str]:
    """Listeners that anybody who reaches them could write through: MLLP has no password."""
    for one in config.listeners:
        named = [peer.name for peer in config.peers if peer.listener in ("", one.name)]
        if not (is_loopback(one.host) or one.allow or one.tls_client_ca or named):
            yield (
                f"listener {one.name} is on {one.host} for others to reach: tell who may connect, by allow, [[peer]] or "
                'tls_client_ca (allow = ["0.0.0.0/0", "::/0"] for everybody), or listen on 127.0.0.1'
            )


def _addresses(config: Config) -> Iterator[str]:
    """Without the address itself."""
    fhir = config.fhir
    places: list[tuple[str, str, Callable[[str], Any]]] = [("[fhir] url", fhir.url, check_url)]
    places += [("[fhir] origins", one, check_origin) for one in fhir.origins]
    places += [("[fhir] public_hosts", one, check_host) for one in fhir.public_hosts]
    if fhir.token_url:
        places.append(("[fhir] token_url", fhir.token_url, partial(check_url, query=True)))
    if config.store.url:
        places.append(("[store] url", config.store.url, check_database))
    for place, text, check in places:
        try:
            check(text)
        except ValueError as error:
            yield f"{place}: {error}"


def _settings(config: Config) -> Iterator[str]:
    if config.policy.unsupported not in ("accept", "reject"):
        yield f'[policy] unsupported is "accept" or "reject", not {config.policy.unsupported!r}'
    if config.policy.order not in ("patient", "sender", "all"):
        yield f'[policy] order is "patient", "sender" or "all", not {config.policy.order!r}'
    if not config.policy.processing_ids:
        yield "[policy] processing_ids names at least one, such as P: with none every message is rejected"
    if 0 < config.store.retention_error_days < config.store.retention_days:
        yield "[store] retention_error_days is at least retention_days, or 0 for ever"
    if config.store.retention_content_days and 0 < config.store.retention_days <= config.store.retention_content_days:
        yield "[store] retention_content_days is below retention_days: with the message its content goes"
    if config.store.retention_error_days and not config.store.retention_days:
        yield "[store] retention_error_days needs retention_days: what ended well is not kept longer"
    if config.pump.orders and not config.pump.owner.strip():
        yield "[pump] orders = true needs the owner: the name of who answers for it"
    fhir = config.fhir
    if fhir.auth not in ("", "none", "bearer", "basic", "smart"):
        yield f'[fhir] auth is "none", "bearer", "basic" or "smart", not {fhir.auth!r}'
    if fhir.auth == "basic" and not fhir.username:
        yield f'[fhir] auth = "basic" needs username, and password_file or {PASSWORD_VARIABLE}'
    if fhir.auth == "smart" and not (fhir.client_id and fhir.key_file):
        yield '[fhir] auth = "smart" needs client_id and key_file'
    if fhir.write not in ("auto", "transaction", "batch", "single"):
        yield f'[fhir] write is "auto", "transaction", "batch" or "single", not {fhir.write!r}'
    if fhir.on_conflict not in ("replace", "park"):
        yield f'[fhir] on_conflict is "replace" or "park", not {fhir.on_conflict!r}'
    if fhir.mode not in ("live", "shadow"):
        yield f'[fhir] mode is "live" or "shadow", not {fhir.mode!r}'
    if bool(fhir.tls_cert) != bool(fhir.tls_key):
        yield "[fhir] tls_cert and tls_key belong together"
    live = fhir.mode == "live" and is_public(fhir.url, fhir.public_hosts)
    if live and not set(config.policy.processing_ids) <= {"T", "D"}:
        yield (
            "[fhir] url is a server that everybody may read: [policy] processing_ids are T and D alone for it, "
            "and the store is one of its own"
        )
    if config.log.format not in ("text", "json"):
        yield f'[log] format is "text" or "json", not {config.log.format!r}'
    if config.log.level not in ("debug", "info", "warning", "error"):
        yield f'[log] level is "debug", "info", "warning" or "error", not {config.log.level!r}'
    limits, delivery = config.limits, config.delivery
    least = (
        ("[fhir] parallel", config.fhir.parallel, 1),
        ("[fhir] transaction_entries", config.fhir.transaction_entries, 1),
        ("[pump] weight_hours", config.pump.weight_hours, 1),
        ("[fhir] connect_timeout", fhir.connect_timeout, 0.1),
        ("[fhir] read_timeout", fhir.read_timeout, 0.1),
        ("[fhir] write_timeout", fhir.write_timeout, 0.1),
        ("[fhir] total_timeout", fhir.total_timeout, 0.1),
        ("[delivery] wait", delivery.wait, 0.01),
        ("[delivery] longest_wait", delivery.longest_wait, delivery.wait),
        ("[delivery] attempts", delivery.attempts, 1),
        ("[delivery] parked_wait", delivery.parked_wait, 1),
        ("[delivery] rejections", delivery.rejections, 1),
        ("[delivery] limit", delivery.limit, delivery.attempts),
        ("[limits] max_message_bytes", limits.max_message_bytes, 1024),
        ("[limits] max_connections", limits.max_connections, 1),
        ("[limits] idle_timeout", limits.idle_timeout, 0),
        ("[limits] frame_timeout", limits.frame_timeout, 0.1),
    )
    for place, value, minimum in least:
        if value < minimum:
            yield f"{place} is at least {minimum}, not {value}"
