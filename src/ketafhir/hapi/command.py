"""`ketafhir fhir-server start|stop|status`. Only `run` imports what it works with, so that other commands
start fast.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_DESCRIPTION = """\
Run a real HAPI FHIR JPA R4 server on this machine, without containers. It needs Java 17 or newer, and Maven
to build it on first use (a download of about 240 MB). By default it listens on this machine only and keeps
everything in memory.

State and logs are kept in $KETAFHIR_HOME/fhir-server, by default .ketafhir/fhir-server under the current
directory."""

_SECRETS = """\
Secrets are never arguments: they come from files, or from the environment variables FHIR_SERVER_TOKEN,
FHIR_SERVER_JDBC_PASSWORD and FHIR_SERVER_KEYSTORE_PASSWORD."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the actions start, stop and status with their options."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="start|stop|status")
    _add_start(
        actions.add_parser(
            "start",
            help="build on first use, start, and wait until it answers",
            epilog=_SECRETS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    stop = actions.add_parser("stop", help="stop it, letting running requests end")
    which = stop.add_mutually_exclusive_group()
    _add_port(which, "the port of the server to stop (default: %(default)s)")
    which.add_argument("--all", action="store_true", help="stop every server started from this directory")
    _add_work_dir(stop)
    status = actions.add_parser("status", help="list the servers that run; exit 1 if there is none")
    _add_work_dir(status)


def run(args: argparse.Namespace) -> int:
    """Do what the parsed arguments say: 0 done, 1 not running. Raises FhirServerError, to be shown on one
    line.
    """
    if args.action == "start":
        return _start(args)
    return _stop(args) if args.action == "stop" else _status(args)


def _add_port(parser: argparse._ActionsContainer, text: str) -> None:
    parser.add_argument("--port", type=_port, default=8090, metavar="N", help=text)


def _add_work_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work-dir", type=Path, metavar="DIR", help="where state and logs are kept")


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: %(default)s)"
    )
    _add_port(parser, "port to listen on, 0 for a free one (default: %(default)s)")
    store = parser.add_mutually_exclusive_group()
    store.add_argument("--data-dir", type=Path, metavar="DIR", help="keep the data in files here (H2)")
    store.add_argument(
        "--jdbc-url", metavar="URL", help="keep the data there: jdbc:postgresql://HOST/DB or jdbc:h2:..."
    )
    parser.add_argument("--jdbc-user", metavar="NAME", help="database user")
    parser.add_argument("--jdbc-password-file", type=Path, metavar="FILE", help="file with the database password")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="require this bearer token of every request")
    parser.add_argument("--keystore", type=Path, metavar="FILE", help="serve https with this PKCS#12 or JKS key store")
    parser.add_argument("--keystore-password-file", type=Path, metavar="FILE", help="file with its password")
    parser.add_argument("--heap", default="1g", metavar="SIZE", help="memory for objects (default: %(default)s)")
    parser.add_argument("--long-running", action="store_true", help="slower to start, up to twice the throughput later")
    parser.add_argument(
        "--timeout", type=float, default=180.0, metavar="S", help="seconds to wait (default: %(default)s)"
    )
    _add_work_dir(parser)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return port


def _start(args: argparse.Namespace) -> int:
    from ketafhir.hapi import progress, server
    from ketafhir.hapi.settings import Settings

    settings = Settings(
        host=args.host,
        port=args.port,
        data_dir=args.data_dir,
        jdbc_url=args.jdbc_url,
        jdbc_user=args.jdbc_user,
        jdbc_password_file=args.jdbc_password_file,
        token_file=args.token_file,
        keystore=args.keystore,
        keystore_password_file=args.keystore_password_file,
        heap=args.heap,
        long_running=args.long_running,
    )
    if args.host not in ("127.0.0.1", "::1", "localhost") and not settings.protected:
        sys.stderr.write(f"warning: every machine that reaches {args.host} can read and write: set --token-file\n")
    if settings.in_memory:
        sys.stderr.write("note: all data are in memory, and gone when it stops: --data-dir DIR keeps them\n")
    with progress.on_terminal(sys.stderr) as show:
        found = server.start(settings, work_dir=args.work_dir, timeout=args.timeout, progress=show)
    already = "" if found.started else " (already running, settings unchanged)"
    sys.stdout.write(f"{found.url}{already}\n")
    return 0


def _stop(args: argparse.Namespace) -> int:
    from ketafhir.hapi import server

    if args.all:
        count = server.stop_all(work_dir=args.work_dir)
        sys.stdout.write(f"stopped {count}\n")
        return 0
    if server.stop(args.port, work_dir=args.work_dir):
        sys.stdout.write(f"stopped the FHIR server at port {args.port}\n")
        return 0
    sys.stdout.write(f"no FHIR server of this directory runs at port {args.port}\n")
    return 1


def _status(args: argparse.Namespace) -> int:
    from ketafhir.hapi import probe, server

    states = {
        "open": "answers",
        "protected": "answers, token required",
        "other": "answers wrongly",
        "none": "silent",
    }
    found = server.status(work_dir=args.work_dir)
    for one in found:
        state = states[probe.ask(one.url)] if one.url else "starting"
        sys.stdout.write(f"{one.url or '-'}  {state}  pid {one.pid}  log {one.log}\n")
    if not found:
        sys.stdout.write("no FHIR server of this directory runs\n")
    return 0 if found else 1
