"""The command line: `ketafhir COMMAND ...`.

The name of the command is read first, and only its own module is imported and only its own parser built: a
short command must not pay for the start of a long one. A command module has `add_arguments(parser)` and
`run(args)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from ketafhir.errors import ConfigError, KetafhirError, reason_of

if TYPE_CHECKING:
    from ketafhir.explain.feed import Taken
    from ketafhir.translate.settings import Settings

COMMANDS = {
    "translate": ("ketafhir.translate.command", "translate HL7v2 to FHIR, or FHIR to HL7v2"),
    "explain": ("ketafhir.explain.command", "show what becomes of each field of a message, or what a feed needs"),
    "tables": ("ketafhir.mapping.command", "check, show or export the mapping tables"),
    "validate": ("ketafhir.profiles.validate", "check FHIR resources: their shape, their profiles, by a server"),
    "profiles": ("ketafhir.profiles.command", "put the profiles on a FHIR server, or into a package"),
    "serve": ("ketafhir.serve_command", "take HL7v2 over MLLP and carry it to a FHIR server"),
    "send": ("ketafhir.mllp.command", "send HL7v2 messages over MLLP and print the acknowledgments"),
    "queue": (
        "ketafhir.store.command",
        "list, show, retry, hold, replay, purge or export the messages of the service, or stop a destination",
    ),
    "audit": ("ketafhir.audit_command", "tell who has seen, changed or taken out what of the queue"),
    "backup": ("ketafhir.store.backup", "copy the store while the service runs, or bring it back from a copy"),
    "reconcile": ("ketafhir.reconcile", "compare what was written with what the FHIR server holds, and mend it"),
    "config": ("ketafhir.config_command", "print an example configuration, or check one"),
    "check": ("ketafhir.check", "say whether a configuration will do what it says, and how to mend it"),
    "doctor": ("ketafhir.doctor", "say what is wrong with an installation and how to mend it"),
    "fhir-server": ("ketafhir.hapi.command", "start, stop or show a local HAPI FHIR server"),
    "simulate": ("ketafhir.simulate.command", "write a synthetic clinic as FHIR and as HL7v2"),
    "demo": ("ketafhir.demo.command", "three patients over MLLP into a FHIR server and back"),
}
"""Each command with the module that does it and its line in `ketafhir --help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command: its exit code, 1 for an error told on purpose, 130 after Ctrl-C, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in COMMANDS:
        return _without_command(words)
    gc.set_threshold(50_000)  # what is made at start-up stays: looking through it again and again costs a tenth
    try:
        status = _run(words[0], words[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KetafhirError as error:
        sys.stderr.write(f"ketafhir {words[0]}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _reader_gone()
    except OSError as error:  # a file or folder that a command was to write
        sys.stderr.write(f"ketafhir {words[0]}: {reason_of(error)}\n")
        return 1


def _run(name: str, words: Sequence[str]) -> int:
    module, summary = COMMANDS[name]
    command = import_module(module)
    parser = _Parser(
        prog=f"ketafhir {name}", description=f"{summary[0].upper()}{summary[1:]}.", formatter_class=_Formatter
    )
    command.add_arguments(parser)
    args = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] = _WIRED.get(name, command.run)
    return run(args)


class _Parser(argparse.ArgumentParser):
    """The usual parser; what is wrong comes with what to do about it."""

    def error(self, message: str) -> NoReturn:
        command = " ".join(self.prog.split()[:2])
        hint = f"`{self.prog} --help` tells what it takes"
        if message.startswith("unrecognized arguments: ") and command in _OF_ONE_FILE and " -" not in message:
            hint = f"it takes one FILE; several are one after the other: cat FILE ... | {command} -"
        super().error(f"{message}; {hint}")


_OF_ONE_FILE = ("ketafhir translate", "ketafhir explain", "ketafhir validate", "ketafhir send")


class _Formatter(argparse.HelpFormatter):
    """The usual help, of the width of the terminal asked without shutil, which loads compressors for this."""

    def __init__(self, prog: str) -> None:
        try:
            width = int(os.environ.get("COLUMNS", "")) or 80
        except ValueError:
            width = os.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else 80
        super().__init__(prog, width=width - 2)


def _send(args: argparse.Namespace) -> int:
    from ketafhir.hl7v2.stream import split_messages
    from ketafhir.mllp import command

    return command.run(args, split_messages)


def _queue(args: argparse.Namespace) -> int:
    from ketafhir.store import command

    return command.run(_with_store(args))


def _backup(args: argparse.Namespace) -> int:
    from ketafhir.store import backup

    return backup.run(_with_store(args))


def _with_store(args: argparse.Namespace) -> argparse.Namespace:
    """The store that is named, else that of the configuration; and the destinations of the configuration, where one tells."""
    if not args.store or args.config:
        from ketafhir.config import find, load

        file = find(args.config)
        config = load(file) if file else None
        args.store = args.store or (config.store.place if config else None)
        args.destinations = config.destinations if config else None
        args.authorities = config.authorities if config else None
    return args


def _explain(args: argparse.Namespace) -> int:
    from ketafhir.explain import command

    return command.run(args, _stored, _configured)


def _stored(args: argparse.Namespace) -> Iterator[Taken]:
    """What the store has, each message with the settings of its listener."""
    import time

    from ketafhir.config import Config, find, load
    from ketafhir.explain.feed import Taken
    from ketafhir.store.opening import open_store
    from ketafhir.store.verbs import age
    from ketafhir.translate.settings import of_feed

    file = find(args.config)
    config = load(file) if file else Config()
    feeds = {
        one.name: (of_feed(one.timezone, one.site, config.authorities, config.default_authority), one.charset)
        for one in config.listeners
    }
    only = next(iter(feeds.values())) if len(feeds) == 1 else (None, "")
    try:
        since = time.time() - age(args.since) * 86400 if args.since else 0.0
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"--since: {error}") from error
    store = open_store(args.store, create=False)
    try:
        after = 0
        while found := store.messages(after, since):
            for one in found:
                yield Taken(one.message_id, one.raw, one.outcome, one.issues, *feeds.get(one.listener, only))
            after = found[-1].message_id
    finally:
        store.close()


def _translate(args: argparse.Namespace) -> int:
    from ketafhir.translate import command

    return command.run(args, _configured)


def _configured(args: argparse.Namespace) -> Settings:
    """The zone and site that are asked for, with the authorities of a configuration and what it says of orders to pumps."""
    import time

    from ketafhir.config import load
    from ketafhir.translate.pump_orders import PumpOrders
    from ketafhir.translate.settings import of_feed

    config = load(args.config)
    settings = of_feed(args.timezone or "", args.site or "", config.authorities, config.default_authority)
    pump = config.pump
    return settings.allowing(PumpOrders(pump.owner, pump.weight_hours, time.time()) if pump.orders else None)


def _validate(args: argparse.Namespace) -> int:
    from ketafhir.profiles import validate

    if not args.server:
        return validate.run(args)
    from ketafhir.config import PUBLIC_HOSTS, find, load
    from ketafhir.config.public import is_public

    file = find()
    hosts = load(file).fhir.public_hosts if file else PUBLIC_HOSTS
    return validate.run(args, is_public(args.server, (*PUBLIC_HOSTS, *hosts)))


_WIRED = {
    "send": _send, "queue": _queue, "backup": _backup, "translate": _translate, "explain": _explain, "validate": _validate,
}  # fmt: skip
"""Commands of rooms that must not know what they are given here."""


def _without_command(words: Sequence[str]) -> int:
    if words[:1] == ["--version"]:
        from ketafhir import __version__

        print(f"ketafhir {__version__}")
        return 0
    if words[:1] in (["-h"], ["--help"]):
        print(_overview())
        return 0
    wrong = f"ketafhir: there is no command {words[0]!r}\n" if words else ""
    sys.stderr.write(f"{wrong}{_overview()}\n")
    return 2


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ketafhir COMMAND ...",
            "",
            "Ketamine infusion records between HL7v2 and FHIR R4, both ways.",
            "",
            *lines,
            "",
            "ketafhir COMMAND --help tells the options of a command, ketafhir --version the version.",
        ]
    )


def _reader_gone() -> int:
    """Whoever read our output has closed it: nothing more can be told, also not at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
