"""Statuses that HL7v2 tells finer than FHIR: the exact code stands beside the FHIR code and comes back from there."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping.codecs.coded import Code
from ketafhir.mapping.context import Context
from ketafhir.mapping.paths import EXTENSION

V2_CODE = EXTENSION + "v2-code"


class ExactCode(Code):
    """A code by a code map, strictly. Several HL7v2 codes may share one FHIR code (OBX-11 D and W are entered-in-error).

    The one that is not the preferred inverse is written beside it, and is read again while the FHIR code is still its own.
    """

    companion = True

    def from_fhir(self, c: Context, json: Any) -> str:
        code, beside = json
        for one in beside.get("extension", ()) if isinstance(beside, dict) else ():
            word = self.map.v2_to_domain.get(str(one.get("valueCode"))) if one.get("url") == V2_CODE else None
            if word is not None and self.map.domain_to_fhir.get(word) == code:
                return word
        return super().from_fhir(c, code)

    def beside(self, value: str) -> dict[str, Any] | None:
        """The companion of the code, or None where the FHIR code says it all."""
        if self.map.fhir_to_domain.get(self.map.domain_to_fhir.get(value, "")) == value:
            return None
        return {"extension": [{"url": V2_CODE, "valueCode": self.map.domain_to_v2.get(value, "")}]}


class SoftExactCode(ExactCode):
    """As `exact-code`; what stands in no row is preserved as sent, with a warning."""

    def from_v2(self, c: Context, *cells: str) -> str:
        return self.softly(c, cells[0])
