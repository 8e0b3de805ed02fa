"""Messages of an infusion pump as the IPEC supplement has them (table X.1.2.1-4 and its sample): one event a message."""

from __future__ import annotations

PID = "PID|1||SYN-100318^^^WILLOW^MR||Vasquez-Lindholm^Dorian^^^^^L||19740930|M"
PV1 = "PV1|1|O|INFUSION^ROOM 3^CHAIR 1^WILLOW||||||||||||||||V-B2^^^WILLOW^VN"
PUMP = "E0002^^0012210000000000^EUI-64"
ML, MLH = "263762^MDC_DIM_MILLI_L^MDC^mL^mL^UCUM", "265266^MDC_DIM_MILLI_L_PER_HR^MDC^mL/h^mL/h^UCUM"
MGML, KG = "264306^MDC_DIM_MILLI_G_PER_ML^MDC^mg/mL^mg/mL^UCUM", "263875^MDC_DIM_KILO_G^MDC^kg^kg^UCUM"
MGKGH = "mg/kg/h^mg/kg/h^UCUM"
NUMBERS = {"MDC_EVT_PUMP_DELIV_START": "197288"}
SOURCES = {"primary": 2, "secondary": 3, "clinician": 4, "loading": 5, "pca": 6}


def at(clock: str, day: str = "20260414") -> str:
    return f"{day}{clock.replace(':', '').ljust(6, '0')}-0500"


class Pump:
    """One channel of a pump running one order; each event is a message."""

    def __init__(
        self, device: str = PUMP, placer: str = "P-B2^EHR", drug: str = "Ketamine", vmd: int = 1, pid: str = PID
    ) -> None:
        self.device, self.placer, self.drug, self.vmd, self.pid = device, placer, drug, vmd, pid
        self.number = 0

    def event(
        self,
        name: str,
        clock: str,
        *,
        rate: str = "",
        status: str = "",
        reason: str = "",
        segment: str = "",
        total: str = "",
        source: str = "primary",
        vtbi: str = "",
        weight: str = "",
        dose_rate: str = "",
        concentration: str = "1",
        drug: str | None = None,
        sent: str = "",
        order: bool = True,
    ) -> str:
        self.number += 1
        name = f"MDC_EVT_{name}"
        rows: list[tuple[str, str, str, str, str]] = []
        base, info, own = "1.0.0", f"1.{self.vmd}.1", f"1.{self.vmd}.{SOURCES[source]}"
        running = status in ("delivering", "kvo", "transitioning")
        drug = self.drug if drug is None else drug
        rows += [
            ("", "70049^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC", f"{base}.0", "", ""),
            ("CWE", "0^MDC_ATTR_EVT_COND^MDC", f"{base}.2", f"{NUMBERS.get(name, '0')}^{name}^MDC", ""),
            ("ST", "0^MDC_ATTR_EVT_SOURCE^MDC", f"{base}.3", f"{own}.0", ""),
            ("", "70050^MDC_DEV_PUMP_INFUS_LVP_VMD^MDC", f"1.{self.vmd}.0.0", "", ""),
        ]
        if status:
            flow = rate if running else "0"
            infusing = "infusing" if running else "not-infusing"
            rows += [
                ("", "70067^MDC_DEV_PUMP_DELIVERY_INFO^MDC", f"{info}.0", "", ""),
                ("CWE", "184519^MDC_PUMP_INFUSING_STATUS^MDC", f"{info}.1", f"^pump-status-{infusing}", ""),
                ("NM", "158014^MDC_FLOW_FLUID_PUMP_CURRENT^MDC", f"{info}.2", flow, MLH),
                ("CWE", "0^MDC_DEV_PUMP_ACTIVE_SOURCES^MDC", f"{info}.3", f"^pump-source-info-{source}", ""),
                ("", f"0^MDC_DEV_PUMP_INFUSATE_SOURCE_{source.upper()}^MDC", f"{own}.0", "", ""),
                ("CWE", "158005^MDC_DEV_PUMP_CURRENT_DELIVERY_STATUS^MDC", f"{own}.1", f"^pump-delivery-status-{status}", ""),
                ("CWE", "158008^MDC_DEV_PUMP_PROGRAM_DELIVERY_MODE^MDC", f"{own}.2",
                 "^pump-program-delivery-mode-continuous", ""),
                ("ST", "158012^MDC_DEV_PUMP_SOURCE_CHANNEL_LABEL^MDC", f"{own}.3", source.capitalize(), ""),
            ]  # fmt: skip
        told = [
            ("CWE", "0^MDC_DEV_PUMP_NOT_DELIVERING_REASON^MDC", 14, f"^{reason}" if reason else "", ""),
            ("NM", "157784^MDC_FLOW_FLUID_PUMP^MDC", 4, rate, MLH),
            ("NM", "157924^MDC_RATE_DOSE^MDC", 5, dose_rate, MGKGH),
            ("NM", "157884^MDC_VOL_FLUID_TBI^MDC", 6, vtbi, ML),
            ("NM", "0^MDC_VOL_FLUID_DELIV_SEGMENT^MDC", 15, segment, ML),
            ("NM", "157993^MDC_VOL_FLUID_DELIV_TOTAL^MDC", 7, total, ML),
            ("ST", "184514^MDC_DRUG_NAME_LABEL^MDC", 10, drug, ""),
            ("NM", "157760^MDC_CONC_DRUG^MDC", 11, concentration if drug else "", MGML),
            ("NM", "68063^MDC_ATTR_PT_WEIGHT^MDC", 13, weight, KG),
        ]
        rows += [(kind, code, f"{own}.{place}", value, unit) for kind, code, place, value, unit in told if value]
        when = at(clock)
        placer = self.placer if order else ""
        lines = [
            f"MSH|^~\\&|PUMPGW^9999990000000000^EUI-64|WILLOW|KETAFHIR|WILLOW|{at(sent) if sent else when}||ORU^R42^ORU_R01|"
            f"PUMP-{self.device[:5]}-{self.number:03}|P|2.6|||AL|NE||UNICODE UTF-8|||"
            "IHE_PCD_010^IHE PCD^1.3.6.1.4.1.19376.1.6.4.10^ISO",
            self.pid,
            PV1,
            f"OBR|1|{placer}|{self.device[:5]}-{self.number:03}^^ACDE48234567ABCD^EUI-64|"
            f"70049^MDC_DEV_PUMP_INFUS_LVP_MDS^MDC|||{when}",
        ]
        for number, (kind, code, place, value, unit) in enumerate(rows, 1):
            ending = f"||||||X|||||||{self.device}" if place == f"{base}.0" else "||||||X" if not kind else ""
            lines.append(f"OBX|{number}|{kind}|{code}|{place}|" + (ending[0:] if ending else f"{value}|{unit}|||||R"))
        return "\r".join(lines) + "\r"

    def start(self, clock: str, rate: str, **more: str | bool) -> str:
        return self.event("PUMP_DELIV_START", clock, rate=rate, **{"status": "delivering", **more})  # type: ignore[arg-type]

    def stop(self, clock: str, rate: str, **more: str | bool) -> str:
        told = {"status": "not-delivering", "reason": "pump-stopped-by-clinician", **more}
        return self.event("PUMP_DELIV_STOP", clock, rate=rate, **told)  # type: ignore[arg-type]

    def change(self, clock: str, old: str, new: str, segment: str, total: str) -> list[str]:
        """A change of rate: STOP, delivery goes on, and START."""
        stop = self.event("PUMP_DELIV_STOP", clock, rate=old, status="transitioning", segment=segment, total=total)
        return [stop, self.start(clock, new, segment="0", total=total)]


def story_b(pump: Pump | None = None) -> list[str]:
    """The infusion of story B as its pump tells it: four rates, a pause, the stop, and the program taken off."""
    one = pump or Pump()
    return [
        one.start("09:00", "20", segment="0", total="0.0", vtbi="120", weight="80.0", dose_rate="0.25"),
        *one.change("09:30", "20", "30", "10.0", "10.0"),
        *one.change("10:30", "30", "40", "30.0", "40.0"),
        one.stop("11:12", "40", segment="28.0", total="68.0"),
        one.start("11:42", "24", segment="0", total="68.0"),
        one.stop("13:30", "24", segment="43.2", total="111.2"),
        one.event("PUMP_PROG_CLEARED", "13:31"),
    ]
