"""`ketafhir config example|check`: a configuration to start from, and whether one can be read."""

from __future__ import annotations

import argparse
import sys

from ketafhir import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="example|check")
    actions.add_parser("example", help="print a commented configuration with every setting")
    check = actions.add_parser("check", help="read a configuration; exit 1 if it makes no sense")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")


def run(args: argparse.Namespace) -> int:
    """Exit code 0. Raises ConfigError for a configuration that cannot be used."""
    if args.action == "example":
        sys.stdout.write(config.example())
        return 0
    path = config.required(args.file)
    found = config.load(path)
    ports = ", ".join(f"{one.name} on {one.host}:{one.port}" for one in found.listeners)
    sys.stdout.write(f"{path} can be read: listeners {ports}; FHIR server {found.fhir.url}\n")
    return 0
