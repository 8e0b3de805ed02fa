"""The demo from start to end: FHIR server, service, messages in, sums, messages again, and the way back."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ketafhir.demo import checks, reader, server_view, service, stories, summary
from ketafhir.demo.checks import Compared, Difference
from ketafhir.demo.console import Console
from ketafhir.demo.numbers import one_decimal
from ketafhir.demo.reader import Reader, Resource
from ketafhir.demo.service import Service
from ketafhir.demo.stories import Story
from ketafhir.demo.view import View
from ketafhir.errors import Permanent
from ketafhir.mllp.acknowledgment import code, readable
from ketafhir.profiles.install import install

Records = dict[str, dict[str, Resource]]
"""All resources of each story's patient, by the story's name and `Type/id`."""


def play(folder: Path | None, fhir_server: str | None, *, keep: bool, out: Path) -> int:
    """Play the stories of a folder: 0 where all agrees with them, 1 where not. Raises KetafhirError."""
    told = stories.load(folder)
    console = Console()
    with ExitStack() as stack:
        with console.step("A FHIR server", "FHIR server"):
            url = stack.enter_context(_fhir_server(console, fhir_server, keep=keep))
        demo = _Demo(console, told, url)
        stack.enter_context(demo.reader)
        with console.step("The messages go over MLLP to the service, and from there to the FHIR server", "messages"):
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ketafhir-demo-")))
            demo.service = stack.enter_context(service.running(url, work))
            demo.send()
        with console.step("The profiles go onto the FHIR server", "profiles"):
            put = install(url)
            console.say(f"{put.written} definitions written, {put.unchanged} stood there already")
        with console.step("What the FHIR server holds now", "reading"):
            demo.show()
        with console.step("All messages once more: the same answers, nothing new", "resending"):
            demo.send_again()
        with console.step("One damaged message", "damaged message"):
            demo.send_damaged(stories.damaged(folder))
        with console.step("Back from FHIR to HL7v2, RXA by RXA", "way back"):
            demo.bring_back(out)
        with console.step("Pictures", "pictures"):
            demo.draw(out)
        return demo.verdict()


@contextmanager
def _fhir_server(console: Console, given: str | None, *, keep: bool) -> Iterator[str]:
    """The base URL of the server given, or of one of our own, which is stopped at the end unless kept."""
    if given:
        console.say(f"{given.rstrip('/')} (given)")
        yield given.rstrip("/")
        return
    from ketafhir.hapi import progress, server
    from ketafhir.hapi.settings import Settings

    with progress.on_terminal(sys.stderr) as show:
        found = server.start(Settings(port=0), progress=show)
    console.say(f"{found.url} (HAPI FHIR JPA R4, in memory, started for this run)")
    try:
        yield found.url
    finally:
        if keep:
            console.say("", f"The FHIR server goes on: {found.url}")
            console.say(f"To stop it: ketafhir fhir-server stop --port {found.port}")
        else:
            server.stop(found.port)


class _Demo:
    """What the steps hand on to each other."""

    service: Service

    def __init__(self, console: Console, told: list[Story], url: str) -> None:
        self.console, self.stories, self.url = console, told, url
        self.reader = Reader(url)
        self.answers: list[bytes] = []
        self.records: Records = {}
        self.views: dict[str, View] = {}
        self.values = 0
        self.differences: list[Difference] = []

    def send(self) -> None:
        """All messages, the patients by turns; waits until the FHIR server has all that follows from them."""
        say = self.console.say
        kinds = Counter(stories.event(message) for _, message in stories.interleaved(self.stories))
        say(f"the service listens on {self.service.address}")
        self.answers = self._send_all()
        left = self.service.waiting()
        self.console.countdown(self.service.drain(), "delivering")
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        say(f"{kinds.total()} messages ({told})")
        say(f"{kinds.total()} AA; delivered ({left} were still on their way when the last AA came)")

    def _send_all(self) -> list[bytes]:
        """The acknowledgments, all AA. Raises Permanent for any other."""
        messages = [message for _, message in stories.interleaved(self.stories)]
        replies = []
        for reply in self.console.bar(self.service.send(messages), len(messages), "sending"):
            service.accepted(reply)
            replies.append(reply)
        return replies

    def show(self) -> None:
        """A table of each patient, and what differs from its story."""
        self.records = self._read()
        for story in self.stories:
            view = self.views[story.name] = _view(self.records[story.name])
            self.console.say("", summary.headline(story.name, view), f"   {story.title}")
            for line in summary.lines(view):
                self.console.wrapped(f"   {line}", 3 + summary.WIDTH)
            compared = checks.against_story(story.name, story.expected, view)
            self._take(compared, f"   {compared.values} values agree with the story")
            self._take(checks.sums(story.name, view), "")
        count = sum(map(len, self.records.values()))
        self.console.say("", f"({count} resources, read by {self.reader.searches} searches)")

    def _read(self, only: list[Story] | None = None) -> Records:
        """All resources of the patients of these stories, by default of all."""
        found: Records = {}
        for story in self.stories if only is None else only:
            patient = self.reader.patient(story.system, story.mrn)
            if patient is None:
                raise Permanent(f"{story.name}: the FHIR server has no Patient {story.mrn}")
            found[story.name] = self.reader.record(patient)
        return found

    def _take(self, compared: Compared, agreed: str) -> None:
        """Count values, and tell and keep differences."""
        self.values += compared.values - len(compared.differences)
        self.differences += compared.differences
        if compared.differences:
            self.console.say(*(f"   DIFFERS  {one.line()}" for one in compared.differences))
        elif agreed:
            self.console.say(agreed)

    def send_again(self) -> None:
        """The same messages: every answer AA again, and no resource has a new version."""
        again = self._send_all()
        self.console.countdown(self.service.drain(), "delivering")
        wrong = [
            Difference(f"answer {number} to a message sent again", readable(first), readable(second))
            for number, (first, second) in enumerate(zip(self.answers, again, strict=True), 1)
            if first != second
        ]
        same = f"{len(again)} messages, {len(again)} AA, byte for byte the first answers"
        self._take(Compared(len(again), wrong), same)
        self._unchanged(self._read(), "sending all again")

    def _unchanged(self, now: Records, after: str) -> None:
        """Compare versionId and lastUpdated of every resource."""
        wrong = []
        for name, after_it in now.items():
            old, new = reader.versions(self.records[name]), reader.versions(after_it)
            for key in dict.fromkeys((*old, *new)):
                if old.get(key) != new.get(key):
                    told = [version[0] if version else "none" for version in (old.get(key), new.get(key))]
                    wrong.append(Difference(f"{name} {key} after {after}: version", *told))
        count = sum(map(len, now.values()))
        self._take(Compared(count, wrong), f"{count} resources: no version changed")

    def send_damaged(self, message: bytes) -> None:
        """It must be refused with an ERR that says why, and change nothing."""
        (reply,) = self.service.send([message])
        refused = code(reply) in ("AE", "AR")
        self.console.say(*_segments(reply, ("MSA", "ERR")))
        wrong = [] if refused else [Difference("damaged message: acknowledgment", "AE or AR", code(reply))]
        self._take(Compared(1, wrong), "")
        self.console.countdown(self.service.drain(), "delivering")
        number = stories.patient_number(message)
        about = [story for story in self.stories if (story.system, story.mrn) == number]
        now = self._read(about or self.stories)
        for story in about:
            infusion = _view(now[story.name]).infusion
            held = one_decimal(infusion.delivered_mg) if infusion else "no"
            self.console.say(f"patient {story.name} still has {held} mg")
        self._unchanged(now, "the damaged message")

    def bring_back(self, out: Path) -> None:
        """HL7v2 made of the server's resources alone, against the last state sent."""
        from ketafhir.demo import way_back

        losses: Counter[str] = Counter()
        for story in self.stories:
            bundle = reader.bundle(self.url, self.records[story.name])
            found = way_back.of_story(story, bundle)
            self.console.say(f"{story.name}  {found.text}")
            self._take(Compared(found.rxa.compared, found.rxa.differences), "")
            self._take(Compared(found.results.compared, found.results.differences), "")
            losses += found.rxa.losses
            way_back.write(story.name, bundle, found, out)
        if losses:
            self.console.say("declared losses met on the way:")
            for loss, count in sorted(losses.items()):
                self.console.wrapped(f"   {count} x {loss}", 7)

    def draw(self, out: Path) -> None:
        """One picture of each patient."""
        from ketafhir.demo import timeline

        for story in self.stories:
            place = timeline.draw(story.name, self.views[story.name], out)
            self.console.say(str(place or f"{story.name}: neither infusion nor vital signs to draw"))

    def verdict(self) -> int:
        """The last lines and the exit code."""
        print(f"\n{self.console.times()}")
        if not self.differences:
            print(f"All agrees: {self.values} values and versions compared.")
            return 0
        print(f"{len(self.differences)} differ:", flush=True)
        for one in self.differences:
            sys.stderr.write(f"ketafhir demo: {one.line()}\n")
        return 1


def _view(record: dict[str, Resource]) -> View:
    patient = next(one for one in record.values() if one["resourceType"] == "Patient")
    return server_view.read(record, patient)


def _segments(reply: bytes, names: tuple[str, ...]) -> list[str]:
    """These segments of a reply, safe to print."""
    lines = reply.decode("utf-8", "backslashreplace").replace("\n", "\r").split("\r")
    told = [line for line in lines if line[:3] in names]
    return ["".join(char if char.isprintable() else ascii(char)[1:-1] for char in line) for line in told]
