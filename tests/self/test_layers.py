"""The direction of imports (docs/architecture.md): each room knows only those below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ketafhir

PACKAGE = Path(ketafhir.__file__).parent

# Of each room (a folder, or a module at the top) those it may import; those of FOR_ALL are for all.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "data": set(),
    "private": set(),
    "plain": set(),
    "patterns": set(),
    "therapy": set(),
    "hl7v2": set(),
    "fhir": set(),
    "mllp": set(),
    "store": set(),
    "hapi": set(),
    "mapping": {"therapy", "hl7v2", "fhir"},
    "translate": {"therapy", "hl7v2", "fhir", "mapping"},
    "profiles": {"fhir", "mapping", "translate", "sync", "__init__"},
    "simulate": {"fhir", "mapping", "translate"},
    "explain": {"therapy", "hl7v2", "fhir", "mapping", "translate"},
    "sync": {"store", "fhir", "mllp"},
    "config": {"hl7v2", "mllp"},
    "service": {"therapy", "hl7v2", "fhir", "translate", "mllp", "store", "sync"},
    "delivering": {"service", "config", "translate", "mllp", "store", "sync"},
    "rest": {"certificates", "delivering", "service", "config", "mllp", "store", "sync", "translate", "__init__"},
    "app": {"delivering", "rest", "service", "config", "translate", "mllp", "store", "sync"},
    "reconcile": {"config", "delivering", "store", "sync"},
    "config_command": {"config"},
    "audit_command": {"config", "fhir", "store", "translate"},
    "logs": {"config"},
    "serve_command": {"config", "logs", "app", "delivering", "mllp", "service"},
    "finding": set(),
    "certificates": {"config", "finding", "mllp"},
    "doctor": {"certificates", "finding", "config", "delivering", "hapi", "mapping", "store", "sync", "translate"},
    "check": {"certificates", "config", "doctor", "finding"},
    "demo": {
        "therapy", "hl7v2", "fhir", "mapping", "translate", "mllp", "store", "sync", "hapi",
        "config", "app", "profiles", "__init__",
    },
    "cli": {"config", "explain", "hl7v2", "mllp", "profiles", "store", "translate", "__init__"},
    "__main__": {"cli"},
    "__init__": {"translate"},
}  # fmt: skip
FOR_ALL = {"errors", "data", "private", "plain", "patterns"}

# Who may import a package that is heavy, or that must not leak into the rest.
OWNERS = {
    "hl7apy": {"hl7v2"},
    "fhir": {"fhir"},
    "pydantic": {"fhir", "therapy"},  # of therapy only the twins of the records, see EDGE
    "httpx": {"sync", "demo"},  # the demo reads the server by a way of its own
    "sqlite3": {"store", "translate"},  # of translate only the spilled history of a long file
    "matplotlib": {"demo"},
    "psycopg": {"store"},
    "cryptography": {"sync", "check"},
    "starlette": {"service"},
    "uvicorn": {"service"},
    "prometheus_client": {"service"},
}

HEAVY = {"pydantic", "fhir", "hl7apy", "httpx", "asyncio", "logging", "matplotlib", "tqdm"}
EDGE = ("therapy/models.py",)  # validation for those who ask for it: no message passes here
HOT = ("errors", "therapy", "hl7v2", "fhir", "mapping", "translate")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """The dotted names of one import statement; of `from a import b`, `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(file: Path) -> Iterator[str]:
    """Everything a module imports, wherever in it."""
    for node in ast.walk(tree_of(file)):
        yield from imported(node)


def imports_when_loaded(file: Path) -> Iterator[str]:
    """What is imported with the module: not in functions, and not for type checking only."""
    waiting: list[ast.AST] = list(tree_of(file).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield from imported(node)
        waiting += ast.iter_child_nodes(node)


def rooms_imported(file: Path) -> set[str]:
    found = set()
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "ketafhir":
            inside = parts[1] if len(parts) > 1 else "__init__"
            found.add(inside if inside in ROOMS else "__init__")
    return found


def test_every_module_stands_in_a_room() -> None:
    assert {room_of(file) for file in modules()} <= set(ROOMS)


def test_rooms_have_no_cycle() -> None:
    done: set[str] = set()
    left = dict(ROOMS)
    del left["__init__"]  # the package itself loads the translator only when asked
    while left:
        free = [room for room, below in left.items() if below - {"__init__"} <= done]
        assert free, f"a cycle among {sorted(left)}"
        done.update(free)
        left = {room: below for room, below in left.items() if room not in done}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_is_below(room: str) -> None:
    allowed = ROOMS[room] | FOR_ALL | {room}
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {', '.join(sorted(above))}"
        for file in modules()
        if room_of(file) == room and (above := rooms_imported(file) - allowed)
    ]
    assert wrong == []


def test_errors_import_nothing_of_ours_but_the_base_of_all_values() -> None:
    assert rooms_imported(PACKAGE / "errors.py") == {"plain"}
    assert rooms_imported(PACKAGE / "plain.py") == set()


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_package_is_imported_by_its_owners_only(package: str) -> None:
    found = {room_of(file) for file in modules() for name in imports(file) if name.split(".")[0] == package}
    assert found <= OWNERS[package]


def test_hl7apy_is_behind_one_module() -> None:
    users = [file.name for file in modules() if any(name.startswith("hl7apy") for name in imports(file))]
    assert users == ["strict.py"]


def test_fhir_resources_is_behind_one_module() -> None:
    users = [file.name for file in modules() if any(name.startswith("fhir.") for name in imports(file))]
    assert users == ["check.py"]


def test_what_is_on_the_way_of_every_message_loads_nothing_heavy() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in modules()
        if room_of(file) in HOT and file.relative_to(PACKAGE).as_posix() not in EDGE
        for name in imports_when_loaded(file)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


ADT = (
    "MSH|^~\\\\&|EHR|WILLOW|K|W|20260223130012-0600||ADT^A04^ADT_A01|M1|P|2.5.1\\r"
    "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F\\r"
)


def test_a_translation_leaves_nothing_heavy_behind() -> None:
    program = f'''
import sys
import ketafhir
ketafhir.to_fhir("{ADT}").json()
print(*sorted(set({sorted(HEAVY)!r}) & set(sys.modules)))
'''
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == []


def test_a_command_that_translates_vital_signs_loads_only_what_they_need() -> None:
    file = Path(__file__).parents[2] / "benchmarks/messages/oru-12-obx.hl7"
    unneeded = [
        "fractions",
        "hashlib",
        "json",
        "orjson",
        "pathlib",
        "sqlite3",
        "urllib.parse",
        "ketafhir.translate.checking",
    ]
    program = f"""
import sys
from ketafhir.cli import main
before = set(sys.modules)
assert main(["translate", {str(file)!r}, "--to", "fhir"]) == 0
print(*sorted({{*{unneeded!r}}} & set(sys.modules) - before), file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr.splitlines()[-1] == ""
