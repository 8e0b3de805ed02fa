"""`ketafhir serve`: the service in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ketafhir.config import Config, find, load, parse, required
from ketafhir.errors import ConfigError

if TYPE_CHECKING:
    import asyncio


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--config", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")
    parser.add_argument("--listen", metavar="HOST:PORT", help="in place of the first listener's; port 0: any")
    parser.add_argument("--fhir", metavar="URL", help="in place of [fhir] url")
    parser.add_argument("--workers", type=int, metavar="N", help="deliver in N processes beside this one (PostgreSQL)")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # such a process
    parser.add_argument("--store", metavar="PATH|URL", help="in place of [store] path or url")


def run(args: argparse.Namespace) -> int:
    """Serve; 0 after an orderly end. Prints one line for each listener when it is ready."""
    import asyncio

    from ketafhir import logs
    from ketafhir.config.public import is_public

    config = settings(args)
    logs.begin(config.log)
    if args.worker is not None:
        asyncio.run(_deliver(config, args.worker))
        return 0
    if args.workers is not None and (args.workers < 1 or "://" not in config.store.place):
        raise ConfigError("--workers is at least 1, and needs a store on PostgreSQL ([store] url)")
    if (args.workers or 1) > 1 and is_public(config.fhir.url, config.fhir.public_hosts):
        raise ConfigError("[fhir] url is a public server, which bears two requests a second: one worker is enough")
    asyncio.run(_serve(config, args))
    return 0


def settings(args: argparse.Namespace) -> Config:
    """The configuration with what the command line puts in place. Raises ConfigError."""
    file = find(args.config) if args.listen else required(args.config)
    environment = {**os.environ, **_in_place(args)}
    config = load(file, environment) if file else parse("", environment=environment)
    if args.listen:
        from ketafhir.config.meaning import open_listeners

        host, port = _address(args.listen)
        first = replace(config.listeners[0], host=host, port=port)
        config = replace(config, listeners=(first, *config.listeners[1:]))
        for problem in open_listeners(config):
            raise ConfigError(f"--listen {args.listen}: {problem}")
    return config


def _in_place(args: argparse.Namespace) -> dict[str, str]:
    """As variables of the environment: what is asked of a setting is asked of these too."""
    found = {"KETAFHIR_FHIR_URL": args.fhir} if args.fhir else {}
    if args.store and "://" in args.store:
        found["KETAFHIR_STORE_URL"] = args.store
    elif args.store:
        found |= {"KETAFHIR_STORE_PATH": args.store, "KETAFHIR_STORE_URL": ""}
    return found


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.removeprefix("mllp://").rstrip("/").rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise ConfigError(f"--listen {text!r} is no HOST:PORT, such as 127.0.0.1:2575")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _deliver(config: Config, number: int) -> None:
    """A worker process. Ctrl-C goes to all processes of a terminal: the one that listens ends this one."""
    import asyncio
    import signal

    from ketafhir.delivering import deliver

    stopping = asyncio.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await deliver(config, number, stopping)


def _for_workers(args: argparse.Namespace) -> list[str]:
    given = [("--config", args.config), ("--listen", args.listen), ("--fhir", args.fhir), ("--store", args.store)]
    return ["serve", *(part for name, value in given if value for part in (name, value))]


async def _serve(config: Config, args: argparse.Namespace) -> None:
    import asyncio

    from ketafhir.app import App
    from ketafhir.service.processes import Processes

    stopping = asyncio.Event()
    _on_signals(asyncio.get_running_loop(), stopping)
    processes = Processes(_for_workers(args), args.workers) if args.workers else None
    async with App(config, processes) as app:
        for address in app.addresses:
            sys.stdout.write(f"listening on {address}\n")
        if app.http is not None:
            sys.stdout.write(f"listening on {app.http.url}\n")
        sys.stdout.flush()
        _collect_less_often()
        await stopping.wait()


def _collect_less_often() -> None:
    """A message makes thousands of objects, nearly none of them in a circle: looking for circles every 700 objects took a
    twentieth of the time. What has been loaded by now stays, and is looked at no more."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _on_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
