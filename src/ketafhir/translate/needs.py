"""What each message that is written is made of: for whoever asks for one that a record cannot give."""

from __future__ import annotations

_MADE_OF = {
    "OMP^O09": "a MedicationRequest of intent original-order that no filler order is based on; an encoded one is RDE^O11",
    "RDE^O11": "a MedicationRequest of intent filler-order; what is only placed (original-order) is OMP^O09",
    "RGV^O15": "a MedicationRequest of intent instance-order, or filler-order",
    "RAS^O17": "MedicationAdministrations",
    "RDS^O13": "MedicationDispenses",
    "ORU^R42": "a pump's own events (IHE PCD-10): DiagnosticReports whose results have MDC_ATTR_EVT_COND. What only an eMAR told "
    "is not told in the name of a pump: ask for RAS^O17",
    "ORU^R40": "alarms of a device (IHE PCD-04): DiagnosticReports whose results have MDC_EVT_ALARM. None was told",
    "ORU^R01": "Observations, DiagnosticReports, QuestionnaireResponses, candidacy decisions, AdverseEvents; events of pumps are "
    "ORU^R42, alarms ORU^R40, and what belongs to an order or an administration goes with that",
    "ADT^A40": "a Patient with a link of type replaced-by, and who stays",
}
_ADT = "a Patient, and an Encounter where there is one"
_ANSWERS = ("ACK", "ORA", "ORP", "ORR", "RRA", "RRD", "RRE", "RRG")


def made_of(message: str) -> str:
    """What a message that is written (`RAS^O17`) is made of."""
    return f"it is made of {_MADE_OF.get(message, _ADT)}"


def before_what_is_written(message: str) -> str:
    """Why a message is not among those that are written, where there is a reason to give."""
    return "an answer is made by the service, to the message that it answers; " if message.startswith(_ANSWERS) else ""
