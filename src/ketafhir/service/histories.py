"""The records of patients between the store and the fold.

A partition of the store is one patient: its key, `system|number`. Its record is the patient's whole history
(`therapy.fold.History`) as JSON.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields

import orjson

from ketafhir.errors import Issue, refused
from ketafhir.store.protocol import Key, RecordChange, Store
from ketafhir.therapy.asjson import dump_history, load_history
from ketafhir.therapy.fold import History
from ketafhir.therapy.records import KINDS, Records

ORDER_NUMBER = "order-number"
"""The kind of key by which the store finds the patient of an order number."""


class Histories:
    """The histories of patients as the store has them; the last `size` used are kept in memory.

    What is taken out is changed by the fold, and so given back (`put`) only when the store has taken the
    change too. That nothing else has written meanwhile is checked by the store, by version.
    """

    def __init__(self, store: Store, size: int = 256) -> None:
        self._store = store
        self._size = size
        self._kept: OrderedDict[str, tuple[History, int]] = OrderedDict()

    def take(self, patient: str) -> tuple[History, int]:
        """The history of a patient and its version, an empty one and 0 where there is none."""
        if patient in self._kept:
            return self._kept.pop(patient)
        body, version = self._store.record(patient)
        return (History() if body is None else load_history(orjson.loads(body))), version

    def put(self, patient: str, history: History, version: int) -> None:
        """Keep what is now in the store."""
        self._kept[patient] = (history, version)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def owners(self, number: str) -> list[str]:
        """The patients that an order number (`P:` placer, `F:` filler, with its system) belongs to."""
        return self._store.lookup(ORDER_NUMBER, number)


class KnownHistory(History):
    """All that is known of the patients of one message, loaded once it is known who they are.

    The fold asks `prepare` first, with the records of the message; until then this history is empty.
    """

    def __init__(self, histories: Histories) -> None:
        super().__init__()
        self._histories = histories
        self._loaded: dict[str, tuple[History, int]] = {}
        self._numbers: dict[str, tuple[str, str]] = {}

    def prepare(self, new: Records) -> tuple[Records, dict[str, tuple[str, str]], list[Issue]]:
        """As `History.prepare`; an order number that another patient has in the store is refused (204)."""
        self._loaded = {patient: self._histories.take(patient) for patient in new.patients}
        self._join([history for history, _ in self._loaded.values()])
        ready, numbers, issues = super().prepare(new)
        self._numbers = {name: owner for name, owner in numbers.items() if name not in self.numbers}
        for name, (_, patient) in self._numbers.items():
            if any(owner != patient for owner in self._histories.owners(name)):
                raise refused(
                    "order-of-other-patient", "the order number belongs to another patient", where="ORC-2",
                    value=name[2:], hl7="204", hint="check PID-3 and ORC-2/-3",
                )  # fmt: skip
        return ready, numbers, issues

    @property
    def patients_known(self) -> tuple[str, ...]:
        """The partitions that the message is about."""
        return tuple(self._loaded)

    def keys(self) -> list[Key]:
        """The order numbers that the message has told first."""
        return [Key(ORDER_NUMBER, name, patient) for name, (_, patient) in self._numbers.items() if patient]

    def changes(self, told: Records) -> list[RecordChange]:
        """The whole new record of each patient. `told` are the message's records under the keys they got."""
        if len(self._loaded) > 1:
            for patient, (history, _) in self._loaded.items():
                ready, numbers, _ = history.prepare(_of(told, patient))
                history.add(ready, numbers)
        return [
            RecordChange(patient, version, orjson.dumps(dump_history(history)))
            for patient, (history, version) in self._loaded.items()
        ]

    def stored(self) -> None:
        """The store has taken the changes."""
        for patient, (history, version) in self._loaded.items():
            self._histories.put(patient, history, version + 1)

    def _join(self, histories: list[History]) -> None:
        """Become the one history, sharing its dictionaries, or the union of several."""
        joined = histories[0] if len(histories) == 1 else _union(histories)
        for part in fields(History):
            setattr(self, part.name, getattr(joined, part.name))


def _union(histories: list[History]) -> History:
    """Records belong to one patient each, so that no key is in two histories."""
    out = History()
    for history in histories:
        for part in fields(History):
            if part.name != "others":
                getattr(out, part.name).update(getattr(history, part.name))
        for kind in KINDS:
            getattr(out.others, kind).update(getattr(history.others, kind))
    return out


def _of(told: Records, patient: str) -> Records:
    """The records of one patient, and those that are nobody's (the source)."""
    out = Records()
    for kind in KINDS:
        for key, record in getattr(told, kind).items():
            owner = key if kind == "patients" else getattr(record, "patient", patient)
            if owner == patient:
                getattr(out, kind)[key] = record
    return out
