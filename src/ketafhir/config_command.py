"""`ketafhir config example|check|token`: a configuration to start from, whether one can be read, a token for HTTP."""

from __future__ import annotations

import argparse
import sys

from ketafhir import config
from ketafhir.config.tokens import ROLES, new_token


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="example|check|token")
    actions.add_parser("example", help="print a commented configuration with every setting")
    check = actions.add_parser("check", help="read a configuration; exit 1 if it makes no sense")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")
    token = actions.add_parser("token", help="a new token for the service over HTTP ([rest] tokens)")
    token.add_argument("name", metavar="NAME", help="who will hold it, as the audit log calls them")
    token.add_argument("role", choices=ROLES, help="what it allows")


def run(args: argparse.Namespace) -> int:
    """Exit code 0. Raises ConfigError for a configuration that cannot be used."""
    if args.action == "example":
        sys.stdout.write(config.example())
        return 0
    if args.action == "token":
        token, line = new_token(args.name, args.role)
        sys.stdout.write(f'token, shown only now: {token}\n[rest] tokens = ["{line}"]\n')
        return 0
    path = config.required(args.file)
    found = config.load(path)
    ports = ", ".join(f"{one.name} on {one.host}:{one.port}" for one in found.listeners)
    sys.stdout.write(f"{path} can be read: listeners {ports}; FHIR server {found.fhir.url}\n")
    return 0
