"""What becomes of one message: its acknowledgments, and what the store then holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_peers import AUTHORITIES, Reply, adt, damaged, er7, header, heart_rate, ras, story

from ketafhir.errors import StoreError
from ketafhir.fhir import json as fhir_json
from ketafhir.fhir.profile.check import Problem
from ketafhir.service import translating
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.service.arrivals import Channel
from ketafhir.service.intake import Intake
from ketafhir.store.protocol import Inbound, RecordChange, Result
from ketafhir.store.rows import Detail
from ketafhir.store.sqlite import SqliteStore
from ketafhir.translate import incoming
from ketafhir.translate import settings as translate_settings
from ketafhir.translate.session import Session


def channel(**more: Any) -> Channel:
    policy = Policy(**more.pop("policy", {}))
    charset = more.pop("charset", "")
    default = more.pop("default_authority", "WILLOW")
    zone = translate_settings.zone("America/Chicago")
    tables = translate_settings.default().tables
    found = translate_settings.Settings(tables, zone, dict(AUTHORITIES), default)
    return Channel("ehr", found, policy, Answers(charset, zone, more.pop("version", "")), charset)


class Desk:
    """An intake on a store of its own."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.channel = channel()
        self.renew()

    def renew(self) -> None:
        """As after a restart: nothing is left in memory."""
        self.intake = Intake(self.store, {"ehr": self.channel})

    def take(self, message: bytes, through: Channel | None = None) -> list[Reply]:
        return [Reply(one) for one in self.intake.take(through or self.channel, message, "peer:1").answers]

    def only(self, message: bytes, through: Channel | None = None) -> Reply:
        (reply,) = self.take(message, through)
        return reply

    def show(self, message_id: int) -> Detail:
        return self.store.show(message_id)

    def bundles(self, message_id: int) -> list[dict[str, Any]]:
        return [json.loads(row.payload) for row in self.show(message_id).deliveries]

    @property
    def stored(self) -> int:
        return sum(self.store.counts().outcomes.values())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "store.sqlite")
    yield found
    found.store.close()


def issues(detail: Detail) -> list[dict[str, str]]:
    return list(json.loads(detail.issues))


# --- accepted


def test_a_message_is_stored_with_its_bundle_before_it_is_acknowledged(desk: Desk) -> None:
    reply = desk.only(adt("M1"))
    assert (reply.code, reply.about, reply.count("ERR")) == ("AA", "M1", 0)
    detail = desk.show(1)
    assert (detail.outcome, detail.raw, detail.ack) == ("translated", adt("M1"), reply.payload)
    (delivery,) = detail.deliveries
    assert (delivery.destination, delivery.partitions) == ("fhir", ("https://willow.example/mrn|SYN-1",))
    (bundle,) = desk.bundles(1)
    assert bundle["type"] == "transaction"


def test_the_acknowledgment_is_addressed_back_with_its_own_number_and_time(desk: Desk) -> None:
    first, second = desk.only(adt("M1")), desk.only(adt("M2", name="Doe^Joan"))
    assert [first.get("MSH", number) for number in (3, 4, 5, 6)] == ["KETAFHIR", "WILLOW", "EHR", "WILLOW"]
    assert first.get("MSH", 10) != second.get("MSH", 10)
    assert first.get("MSH", 7)[-5:] in ("-0500", "-0600")


def test_every_message_of_a_story_is_accepted(desk: Desk) -> None:
    assert {desk.only(message).code for message in story("a")} == {"AA"}
    assert desk.intake.counts["translated"] == desk.intake.counts["received"] == 37


def test_a_warning_travels_with_the_aa(desk: Desk) -> None:
    reply = desk.only(heart_rate("M1").replace(b"8867-4^Heart rate^LN", b"XX-1^Unheard of^L"))
    assert reply.code == "AA"
    assert (reply.get("ERR", 4), reply.get("ERR", 3).split("^")[0]) == ("W", "0")


def test_an_empty_msh_18_is_read_in_the_charset_of_the_listener(desk: Desk) -> None:
    latin = adt("M1", name="Müller^Jo").decode().encode("latin-1")
    assert desk.only(latin).code == "AE"
    desk.channel = channel(charset="8859/1")
    assert desk.only(latin.replace(b"|M1|", b"|M2|")).code == "AA"
    (bundle,) = desk.bundles(2)
    assert "Müller" in json.dumps(bundle, ensure_ascii=False)


# --- refused


def test_a_damaged_message_is_kept_and_nothing_of_it_is_queued(desk: Desk) -> None:
    reply = desk.only(damaged())
    assert (reply.code, reply.about) == ("AE", "EMAR-X01")
    assert reply.get("ERR", 2) == "RXA^1^7"
    assert reply.get("ERR", 5).startswith("unit-is-rate^")
    assert "RXA_to_MedicationAdministration.csv:" in reply.get("ERR", 7)
    assert "[amount]" in reply.get("ERR", 7)
    assert "mg/h" in reply.get("ERR", 8)
    detail = desk.show(1)
    assert (detail.outcome, detail.deliveries, detail.raw) == ("refused", (), damaged())
    assert issues(detail)[0]["code"] == "unit-is-rate"


@pytest.mark.parametrize(
    ("message", "code", "where", "hl7"),
    [
        (b"this is no HL7", "AE", "", "100"),
        (b"", "AE", "", "100"),
        (adt("M1")[:100], "AE", "", ""),
        (er7(header("M1", "ORU^R01^ORU_R01"), "OBR|1||1|85353-1^^LN"), "AE", "PID", "100"),
        (heart_rate("M1").replace(b"72|/min", b"abc|/min"), "AE", "OBX", "102"),
        (adt("M1", MSH_18="EBCDIC"), "AE", "MSH", "103"),
        (adt("M1", MSH_18="ASCII", name="Müller^Jo"), "AE", "PID", "102"),
        (adt("M1", MSH_7="20261399"), "AE", "MSH", ""),
        (adt("M1", MSH_12="9.9"), "AR", "MSH", "203"),
    ],
)
def test_what_cannot_be_read_is_refused_with_place_and_reason(
    desk: Desk, message: bytes, code: str, where: str, hl7: str
) -> None:
    reply = desk.only(message)
    assert reply.code == code
    assert reply.get("ERR", 2).startswith(where)
    assert reply.get("ERR", 3).startswith(hl7)
    assert reply.get("ERR", 8)
    assert (desk.show(1).outcome, desk.show(1).raw, desk.show(1).deliveries) == ("refused", message, ())


def test_a_refused_message_leaves_the_records_as_they_were(desk: Desk) -> None:
    desk.only(ras("M1"))
    before = desk.store.record("https://willow.example/mrn|SYN-1")
    collision = ras("M2").replace(b"RXA|0|1|20260309082000", b"RXA|0|1|20260309091500")
    assert desk.only(collision).get("ERR", 3).startswith("205")
    assert desk.store.record("https://willow.example/mrn|SYN-1") == before
    assert desk.only(heart_rate("M3")).code == "AA"


# --- rejected


@pytest.mark.parametrize("processing_id", ["T", "D", ""])
def test_what_is_no_production_message_is_rejected_and_never_queued(desk: Desk, processing_id: str) -> None:
    reply = desk.only(adt("M1", MSH_11=processing_id))
    assert (reply.code, reply.get("ERR", 2), reply.get("ERR", 3)[:3]) == ("AR", "MSH^1^11", "202")
    assert desk.show(1).deliveries == ()


def test_the_processing_ids_taken_are_a_setting(desk: Desk) -> None:
    assert desk.only(adt("M1", MSH_11="T"), channel(policy={"processing_ids": ("P", "T")})).code == "AA"


def test_an_unknown_sender_is_rejected(desk: Desk) -> None:
    listed = channel(policy={"sending": (("EHR", "WILLOW"),)})
    assert desk.only(adt("M1"), listed).code == "AA"
    reply = desk.only(adt("M2", MSH_3="OTHER"), listed)
    assert (reply.code, reply.get("ERR", 2)) == ("AR", "MSH^1^3")
    assert desk.show(2).deliveries == ()


def test_an_unsupported_type_is_kept_with_a_warning_and_counted(desk: Desk) -> None:
    reply = desk.only(er7(header("M1", "SIU^S12^SIU_S12"), "SCH|1"))
    assert (reply.code, reply.get("ERR", 4)) == ("AA", "W")
    assert (desk.show(1).outcome, issues(desk.show(1))[0]["severity"]) == ("unsupported", "warning")
    assert desk.intake.counts["unsupported"] == 1


@pytest.mark.parametrize(("kind", "hl7"), [("SIU^S12^SIU_S12", "200"), ("ADT^A24^ADT_A24", "201")])
def test_an_unsupported_type_is_rejected_where_policy_says_so(desk: Desk, kind: str, hl7: str) -> None:
    reply = desk.only(er7(header("M1", kind), "PID|1"), channel(policy={"reject_unsupported": True}))
    assert (reply.code, reply.get("ERR", 3)[:3]) == ("AR", hl7)


def test_an_acknowledgment_is_not_answered(desk: Desk) -> None:
    assert desk.take(er7(header("M1", "ACK^A04^ACK"), "MSA|AA|1")) == []
    assert desk.stored == 0


# --- resent


def test_a_resend_gets_the_same_bytes_back_and_does_nothing(desk: Desk) -> None:
    first = desk.only(adt("M1"))
    assert desk.only(adt("M1")).payload == first.payload
    assert (desk.stored, desk.show(1).resends, desk.intake.counts["duplicate"]) == (1, 1, 1)


def test_a_resend_after_a_restart_gets_the_same_bytes_back(desk: Desk) -> None:
    first = desk.only(damaged())
    desk.renew()
    assert desk.only(damaged()).payload == first.payload
    assert desk.stored == 1


def test_another_content_under_one_control_id_is_taken_with_a_warning(desk: Desk) -> None:
    desk.only(heart_rate("M1"))
    reply = desk.only(heart_rate("M1", value="90"))
    assert (reply.code, reply.get("ERR", 4), reply.get("ERR", 2)) == ("AA", "W", "MSH^1^10")
    assert [issue["code"] for issue in issues(desk.show(2))] == ["control-id-reused"]


# --- enhanced mode


@pytest.mark.parametrize("mode", ["|", "AL|AL"], ids=["original", "enhanced"])
def test_the_answers_are_in_the_separators_of_the_message(desk: Desk, mode: str) -> None:
    """A sender that has others than the usual need not read those, and finds its MSH-10 as it wrote it."""
    accept, application = mode.split("|")
    message = heart_rate("ONE", MSH_15=accept, MSH_16=application).decode().translate(str.maketrans("|^~\\&", "$%*!@"))
    found = [answer.payload.decode().split("\r") for answer in desk.take(message.replace("ONE", "A|1").encode())]
    assert [lines[1] for lines in found] == [f"MSA${code}$A|1" for code in (("CA", "AA") if accept else ("AA",))]
    assert {lines[0][:9] for lines in found} == {"MSH$%*!@$"}


def test_enhanced_mode_answers_twice(desk: Desk) -> None:
    accept, answer = desk.take(ras("M1", MSH_15="AL", MSH_16="AL"))
    assert (accept.code, accept.about, accept.get("MSH", 9).split("^")[0]) == ("CA", "M1", "ACK")
    assert (answer.code, answer.about, answer.get("MSH", 9)) == ("AA", "M1", "RRA^O18^RRA_O18")
    assert desk.show(1).outcome == "translated"


def test_enhanced_mode_refuses_in_the_application_answer(desk: Desk) -> None:
    bad = heart_rate("M1", MSH_15="AL", MSH_16="AL").replace(b"72|/min", b"abc|/min")
    accept, answer = desk.take(bad)
    assert (accept.code, answer.code, answer.get("ERR", 2)) == ("CA", "AE", "OBX^1^5")
    assert desk.show(1).deliveries == ()


def test_enhanced_mode_rejects_by_header_with_one_cr(desk: Desk) -> None:
    reply = desk.only(adt("M1", MSH_11="T", MSH_15="AL", MSH_16="AL"))
    assert (reply.code, reply.get("ERR", 3)[:3]) == ("CR", "202")
    assert desk.show(1).deliveries == ()


def test_enhanced_mode_turns_an_unknown_sender_away_with_ce(desk: Desk) -> None:
    listed = channel(policy={"sending": (("MONITOR", "WILLOW"),)})
    assert desk.only(adt("M1", MSH_15="AL", MSH_16="NE"), listed).code == "CE"


@pytest.mark.parametrize(
    ("msh_15", "msh_16", "codes"),
    [("NE", "NE", []), ("AL", "NE", ["CA"]), ("ER", "AL", ["AA"]), ("SU", "ER", ["CA"]), ("NE", "SU", ["AA"])],
)
def test_msh_15_and_16_say_which_answers_come(desk: Desk, msh_15: str, msh_16: str, codes: list[str]) -> None:
    message = adt("M1", MSH_15=msh_15, MSH_16=msh_16)
    assert [reply.code for reply in desk.take(message)] == codes
    assert [reply.code for reply in desk.take(message)] == codes
    assert desk.stored == 1


@pytest.mark.parametrize(
    ("acks", "asked", "codes"),
    [
        ("original", {"MSH_15": "AL", "MSH_16": "AL"}, ["AA"]),
        ("original", {"MSH_15": "NE", "MSH_16": "NE"}, ["AA"]),
        ("AL/NE", {}, ["CA"]),
        ("AL/AL", {}, ["CA", "AA"]),
        ("NE/ER", {"MSH_15": "AL"}, []),
        ("", {"MSH_15": "AL"}, ["CA"]),
    ],
)
def test_a_peer_that_cannot_say_what_it_wants_has_a_setting(
    desk: Desk, acks: str, asked: dict[str, str], codes: list[str]
) -> None:
    through = channel()
    through.acks = acks
    assert [reply.code for reply in desk.take(adt("M1", **asked), through)] == codes
    desk.intake.finish()
    assert desk.show(1).outcome == "translated"


def test_a_crash_between_commit_and_translation_is_made_good(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    message = ras("M1", MSH_15="AL", MSH_16="AL")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(translating, "translated", crash)
        with pytest.raises(KeyboardInterrupt):
            desk.take(message)
    assert desk.show(1).outcome == "received"
    desk.renew()
    assert [reply.code for reply in desk.take(message)] == ["CA"]
    assert desk.intake.finish() == 1
    assert (desk.show(1).outcome, len(desk.bundles(1))) == ("translated", 1)
    assert [reply.code for reply in desk.take(message)] == ["CA", "AA"]
    assert desk.intake.finish() == 0


# --- what fails


def test_a_fault_of_ours_is_told_as_accepted_and_kept_for_the_operator(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("Doe, born 19840211")

    with monkeypatch.context() as patch:
        patch.setattr(translating, "translated", fault)
        reply = desk.only(adt("M1"))
    assert (reply.code, reply.count("ERR")) == ("AA", 0)
    detail = desk.show(1)
    assert (detail.outcome, detail.raw, detail.deliveries) == ("failed", adt("M1"), ())
    assert "ZeroDivisionError at " in issues(detail)[0]["text"]
    assert "ZeroDivisionError" in caplog.text
    assert "Doe" not in caplog.text + issues(detail)[0]["text"]
    assert desk.store.retry(1) == 1
    assert desk.intake.finish() == 1
    assert (desk.show(1).outcome, len(desk.bundles(1))) == ("translated", 1)


def test_a_bundle_that_breaks_its_profile_is_a_fault_of_ours_and_never_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(translating, "check", lambda bundle: [Problem("Bundle.entry[0].resource.name", "value", "Doe")])
        reply = desk.only(adt("M1"))
    assert (reply.code, reply.count("ERR")) == ("AA", 0)
    detail = desk.show(1)
    assert (detail.outcome, detail.raw, detail.deliveries) == ("failed", adt("M1"), ())
    assert issues(detail)[0]["code"] == "profile-broken"
    assert issues(detail)[0]["where"] == "Bundle.entry[0].resource.name"
    assert desk.intake.counts["failed"] == 1
    assert "Doe" not in caplog.text
    assert desk.store.retry(1) == 1
    assert desk.intake.finish() == 1
    assert (desk.show(1).outcome, len(desk.bundles(1))) == ("translated", 1)


class FullStore(SqliteStore):
    full = False

    def accept(self, message: Inbound) -> Any:
        if self.full:
            raise StoreError("the disk is full")
        return super().accept(message)

    def complete(self, message_id: int, result: Result) -> None:
        if self.full:
            raise StoreError("the disk is full")
        super().complete(message_id, result)


@pytest.mark.parametrize(("msh_15", "code"), [("", "AR"), ("AL", "CE")])
def test_a_store_that_is_full_rejects_and_the_resend_is_taken(tmp_path: Path, msh_15: str, code: str) -> None:
    store = FullStore(tmp_path / "store.sqlite")
    intake = Intake(store, {"ehr": (through := channel())})
    message = adt("M1", MSH_15=msh_15)
    store.full = True
    (reply,) = (Reply(one) for one in intake.take(through, message, "p").answers)
    assert (reply.code, reply.about, reply.get("ERR", 5).split("^")[0]) == (code, "M1", "not-stored")
    assert sum(store.counts().outcomes.values()) == 0
    store.full = False
    (reply,) = (Reply(one) for one in intake.take(through, message, "p").answers)
    assert reply.code == {"AR": "AA", "CE": "CA"}[code]
    assert intake.finish() == {"AR": 0, "CE": 1}[code]
    assert store.show(1).outcome == "translated"
    assert intake.counts["not-stored"] == 1
    store.close()


def test_a_record_written_by_another_process_is_read_again(desk: Desk) -> None:
    patient = "https://willow.example/mrn|SYN-1"
    desk.only(ras("M1"))
    other = Intake(desk.store, {"ehr": desk.channel})
    other.take(desk.channel, heart_rate("M2"), "p")
    assert desk.only(heart_rate("M3", value="80")).code == "AA"
    assert desk.store.record(patient)[1] == 3


# --- whose it is


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("arrival", [1, -1])
def test_what_the_store_keeps_is_all_that_the_fold_needs(desk: Desk, name: str, arrival: int) -> None:
    """With a restart before every message the Bundles are those of one fold in memory, byte for byte."""
    messages = story(name)[::arrival]
    session = Session(desk.channel.settings)
    for number, message in enumerate(messages, start=1):
        desk.renew()
        desk.only(message)
        expected = fhir_json.dumps(session.take(incoming.parse(message)).bundle)
        (delivery,) = desk.show(number).deliveries
        assert delivery.payload == expected


def test_records_survive_a_restart(desk: Desk) -> None:
    desk.only(ras("M1"))
    desk.renew()
    closing = ras("M2", MSH_7="20260309090030-0500")
    for old, new in (
        (b'|""|6130', b"|20260309090000-0500|6130"),
        (b"|||||||A", b"||||||CP|A"),
        (b"||IP|", b"||CM|"),
    ):
        assert old in closing
        closing = closing.replace(old, new)
    assert desk.only(closing).code == "AA"
    (bundle,) = desk.bundles(2)
    segments = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "MedicationAdministration" and "partOf" in entry["resource"]
    ]
    assert [one["effectivePeriod"]["end"] for one in segments] == ["2026-03-09T09:00:00-05:00"]
    assert segments[0]["effectivePeriod"]["start"] == "2026-03-09T08:20:00-05:00"


@pytest.mark.parametrize("restart", [False, True])
def test_the_order_number_of_another_patient_is_refused(desk: Desk, restart: bool) -> None:
    desk.only(ras("M1", number="SYN-1", order="P-1"))
    if restart:
        desk.renew()
    reply = desk.only(ras("M2", number="SYN-2", order="P-1"))
    assert (reply.code, reply.get("ERR", 2), reply.get("ERR", 3)[:3]) == ("AE", "ORC^1^2", "204")
    assert desk.store.record("https://willow.example/mrn|SYN-2") == (None, 0)
    assert desk.only(ras("M3", number="SYN-2", order="P-2")).code == "AA"


@pytest.mark.parametrize("restart", [False, True])
def test_the_report_number_of_another_patient_is_refused(desk: Desk, restart: bool) -> None:
    first = heart_rate("M1", "SYN-1")
    assert desk.only(first).code == "AA"
    if restart:
        desk.renew()
    stolen = heart_rate("M2", "SYN-2").replace(b"M2-SYN-2", b"M1-SYN-1")
    reply = desk.only(stolen)
    assert (reply.code, reply.get("ERR", 3)[:3]) == ("AE", "204")
    assert desk.store.record("https://willow.example/mrn|SYN-2") == (None, 0)
    again = heart_rate("M3", "SYN-1", value="75").replace(b"M3-SYN-1", b"M1-SYN-1")
    assert desk.only(again).code == "AA"


def test_a_message_of_several_patients_holds_each_of_them(desk: Desk) -> None:
    desk.only(ras("M1", number="SYN-1"))
    assert desk.only(heart_rate("M2", "SYN-1", "SYN-2")).code == "AA"
    (delivery,) = desk.show(2).deliveries
    keys = [f"https://willow.example/mrn|SYN-{number}" for number in (1, 2)]
    assert sorted(delivery.partitions) == keys
    first, second = (json.loads(desk.store.record(key)[0] or b"") for key in keys)
    assert list(first["infusions"]), "what was known of the first is still known"
    assert [list(one["patients"]) for one in (first, second)] == [[keys[0]], [keys[1]]]
    desk.renew()
    later = heart_rate("M3", "SYN-2", value="75", MSH_7="20260309083000-0500").replace(b"M3-SYN-2", b"M2-SYN-2")
    earlier = heart_rate("M4", "SYN-1", value="75", MSH_7="20260309080000-0500").replace(b"M4-SYN-1", b"M2-SYN-1")
    assert [desk.only(message).code for message in (later, earlier)] == ["AA", "AA"]
    rates = [
        entry["resource"]["valueQuantity"]["value"]
        for number in (3, 4)
        for entry in desk.bundles(number)[0]["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    assert rates == [75, 72], "the newest word counts, whichever message tells it"


def test_a_message_from_a_listener_that_is_gone_waits_for_the_operator(desk: Desk) -> None:
    take = desk.store.accept
    take(Inbound(adt("M1"), b"1", "gone", "p", "EHR|WILLOW", "M1", "ADT^A04", b"CA"))
    several = {"one": desk.channel, "two": desk.channel}
    Intake(desk.store, several).finish()
    assert (desk.show(1).outcome, issues(desk.show(1))[0]["code"]) == ("failed", "listener-gone")


def test_a_patient_number_without_authority_needs_the_default(desk: Desk) -> None:
    bare = adt("M1").replace(b"SYN-1^^^WILLOW^MR", b"SYN-1")
    reply = desk.only(bare, channel(default_authority=""))
    assert (reply.code, reply.get("ERR", 2)[:3]) == ("AE", "PID")
    desk.only(bare.replace(b"|M1|", b"|M2|"))
    assert desk.show(2).deliveries[0].partitions == ("https://willow.example/mrn|SYN-1",)


def test_the_log_names_no_patient(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    changes: list[Callable[[bytes], bytes]] = [
        lambda message: message,
        lambda message: message.replace(b"19840211", b"19849999"),
        lambda message: message.replace(b"|P|2.5.1", b"|T|2.5.1"),
    ]
    for number, change in enumerate(changes):
        desk.take(change(adt(f"M{number}", name="Unmistakable^Zaphod")))
    text = repr(RecordChange("SYN-1", 1, b"Unmistakable")) + caplog.text
    assert "message 2 is refused" in text
    assert "Unmistakable" not in text
    assert "SYN-1" not in text
    assert "1984" not in text
