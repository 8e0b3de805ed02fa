"""The settings, section by section, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FHIR, SHADOW = "fhir", "shadow"
"""The destination of Bundles. Those of shadow mode are not the server's, also when it is live afterwards."""


@dataclass(slots=True, frozen=True)
class ListenerSettings:
    """One MLLP port. `sending` holds the (MSH-3.1, MSH-4.1) that are accepted, `allow` the addresses and networks
    that may connect; empty: all. `acks` stands in place of MSH-15 and -16 ("original", or as "AL/NE"), `version` is the
    version of HL7 v2 of its acknowledgments; empty: that of the message."""

    name: str = ""
    host: str = "127.0.0.1"
    port: int = 2575
    site: str = ""
    timezone: str = ""
    charset: str = ""
    sending: tuple[tuple[str, str], ...] = ()
    allow: tuple[str, ...] = ()
    acks: str = ""
    version: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None


@dataclass(slots=True, frozen=True)
class PeerSettings:
    """One system that sends, known by its certificate or else by its address (`mllp.peers`). 0 is no limit.

    Where a listener has peers, nobody else may connect to it. `sending` and `acks` as of a listener.
    """

    name: str = ""
    listener: str = ""
    certificates: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    sending: tuple[tuple[str, str], ...] = ()
    acks: str = ""
    max_connections: int = 0
    bytes_per_second: float = 0.0
    messages_per_second: float = 0.0


@dataclass(slots=True, frozen=True)
class ReceiverSettings:
    """Another HL7v2 system that gets messages as they came. `forward` are their types, as "ADT" or "ADT^A40".

    `on_error` (AE, CE), `on_reject` (AR, CR) and `on_silence` are "retry", "hold" or "dead" (`sync.hl7_courier`).
    """

    name: str = ""
    address: str = ""
    forward: tuple[str, ...] = ()
    connections: int = 1
    pause: float = 0.0
    reply_timeout: float = 30.0
    on_error: str = "retry"
    on_reject: str = "dead"
    on_silence: str = "retry"
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None


PUBLIC_HOSTS = (
    "hapi.fhir.org",
    "fhirtest.uhn.ca",
    "server.fire.ly",
    "spark.incendi.no",
    "test.fhir.org",
    "smarthealthit.org",
    "hl7europe.eu",
)
"""Test servers that everybody may read and write."""


@dataclass(slots=True, frozen=True)
class FhirSettings:
    """The FHIR server. `parallel`: how many patients are written at a time. Times in seconds.

    `auth`: "none", "bearer", "basic" or "smart"; empty: bearer where there is a token, else none. `mode` "shadow": nothing is
    written to the server; Bundles and loss reports go into `shadow_directory`.
    """

    url: str = "http://127.0.0.1:8090/fhir"
    token_file: Path | None = None
    parallel: int = 4
    auth: str = ""
    username: str = ""
    password_file: Path | None = None
    client_id: str = ""
    key_file: Path | None = None
    key_id: str = ""
    scope: str = ""
    token_url: str = ""
    origins: tuple[str, ...] = ()
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    write_timeout: float = 30.0
    total_timeout: float = 90.0
    write: str = "auto"
    transaction_entries: int = 200
    on_conflict: str = "replace"
    public_hosts: tuple[str, ...] = PUBLIC_HOSTS
    mode: str = "live"
    shadow_directory: Path = Path("shadow")


@dataclass(slots=True, frozen=True)
class StoreSettings:
    """Where messages are kept: in a file, or in a PostgreSQL database where `url` is set; and for how long (0: for ever)."""

    path: Path = Path("ketafhir.sqlite")
    url: str = ""
    retention_days: float = 0.0
    retention_error_days: float = 0.0
    retention_megabytes: float = 0.0
    retention_content_days: float = 0.0

    @property
    def place(self) -> str:
        """What `store.opening` opens."""
        return self.url or str(self.path)


@dataclass(slots=True, frozen=True)
class PolicySettings:
    """What is taken: MSH-11.1, and whether a message type that is not translated is accepted or rejected.

    `order`: what is delivered in the order of coming: the messages of a patient, also those of a sender, or all.
    """

    processing_ids: tuple[str, ...] = ("P",)
    unsupported: str = "accept"
    order: str = "patient"


@dataclass(slots=True, frozen=True)
class DeliverySettings:
    """How often what cannot be delivered is tried (`sync.retry`). Waits in seconds."""

    wait: float = 1.0
    longest_wait: float = 60.0
    attempts: int = 10
    parked_wait: float = 900.0
    rejections: int = 3
    limit: int = 100


@dataclass(slots=True, frozen=True)
class PumpSettings:
    """Whether orders may leave for pumps (RGV^O15), who answers for that, and how old a body weight may be (hours)."""

    orders: bool = False
    owner: str = ""
    weight_hours: int = 24


@dataclass(slots=True, frozen=True)
class RestSettings:
    """The service over HTTP, and who may ask what of it. `listener` names the one whose zone, charset, site and senders it
    goes by; empty: the first. `tokens` are "NAME ROLE SHA256" (`config.tokens`). `free_bytes`: not ready below that much disk."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8575
    listener: str = ""
    tokens: tuple[str, ...] = field(default=(), repr=False)
    tokens_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    free_bytes: int = 256 * 1024 * 1024


@dataclass(slots=True, frozen=True)
class LogSettings:
    """`format` is "text" or "json"; `level` the least that is told: "debug", "info", "warning" or "error"."""

    format: str = "text"
    level: str = "info"


@dataclass(slots=True, frozen=True)
class LimitSettings:
    """Bytes, connections of one listener, and seconds; `idle_timeout` 0 is never."""

    max_message_bytes: int = 16 * 1024 * 1024
    max_connections: int = 256
    idle_timeout: float = 0.0
    frame_timeout: float = 30.0


@dataclass(slots=True, frozen=True)
class Config:
    """All settings. `authorities`: name of an assigning authority -> FHIR system."""

    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(name="127.0.0.1:2575"),)
    authorities: Mapping[str, str] = field(default_factory=dict)
    default_authority: str = ""
    fhir: FhirSettings = FhirSettings()
    store: StoreSettings = StoreSettings()
    policy: PolicySettings = PolicySettings()
    pump: PumpSettings = PumpSettings()
    limits: LimitSettings = LimitSettings()
    rest: RestSettings = RestSettings()
    log: LogSettings = LogSettings()
    delivery: DeliverySettings = DeliverySettings()
    peers: tuple[PeerSettings, ...] = ()
    receivers: tuple[ReceiverSettings, ...] = ()

    @property
    def destinations(self) -> tuple[str, ...]:
        """Where messages go, by their names in the queue: first where Bundles do, then the receivers."""
        return (SHADOW if self.fhir.mode == "shadow" else FHIR, *(one.name for one in self.receivers))


SECTIONS: dict[str, Any] = {
    "fhir": FhirSettings,
    "store": StoreSettings,
    "policy": PolicySettings,
    "delivery": DeliverySettings,
    "pump": PumpSettings,
    "limits": LimitSettings,
    "rest": RestSettings,
    "log": LogSettings,
}
