"""ketafhir: ketamine infusion records between HL7v2 and FHIR R4, both ways.

    import ketafhir
    translation = ketafhir.to_fhir(open("ras.hl7", "rb").read())
    translation.bundle, translation.issues, translation.losses

Importing the package is cheap: the translator is loaded with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ketafhir.errors import Issue, KetafhirError, Refused

if TYPE_CHECKING:
    from ketafhir.translate.translation import Translation, iter_fhir, to_fhir, to_hl7v2

__version__ = "0.1.0"
__all__ = ["Issue", "KetafhirError", "Refused", "Translation", "iter_fhir", "to_fhir", "to_hl7v2"]

_LAZY = {"Translation", "iter_fhir", "to_fhir", "to_hl7v2"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from ketafhir.translate import translation

        for one in _LAZY:
            globals()[one] = getattr(translation, one)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
