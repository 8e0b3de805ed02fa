"""What the service logs: lines of text or of JSON, on standard error, never with anything of a message.

A record about a message names it by its number in the store (`message_id`), by which the queue shows it. Of an exception only
its kind and its places are told, since its text may quote what was read; of what other libraries log, the first line.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from ketafhir.config import LogSettings

_OURS = "ketafhir"
_MOST = 300  # characters of what others say
_Info = tuple[type[BaseException], BaseException, TracebackType | None]


def begin(settings: LogSettings, stream: TextIO | None = None) -> logging.Handler:
    """Log from now on, whatever fails included; gives the handler, for whoever ends it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # of others; httpx and uvicorn tell every request
    logging.getLogger(_OURS).setLevel(settings.level.upper())
    sys.excepthook = _failed
    threading.excepthook = _failed_in_thread
    return handler


class TextLines(logging.Formatter):
    """Time, level, logger and what happened."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the places of an exception on further ones."""
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {_event(record)}"
        places = _places(record)
        return "\n  ".join([line, *places])


class JsonLines(logging.Formatter):
    """An object a line: `time` (UTC), `level`, `logger`, `event`, and `message_id`, `exception`, `places` where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        found: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        message_id = getattr(record, "message_id", None)
        if message_id:
            found["message_id"] = message_id
        places = _places(record)
        if places:
            found["exception"], found["places"] = places[0], places[1:]
        return json.dumps(found, ensure_ascii=False)


def _event(record: logging.LogRecord) -> str:
    if record.name == _OURS or record.name.startswith(_OURS + "."):
        return record.getMessage()
    return str(record.msg).partition("\n")[0][:_MOST]  # without its arguments, which may be anything


def _places(record: logging.LogRecord) -> list[str]:
    """The kind of an exception, and where it went through; never its text."""
    info = record.exc_info
    if not info or info[0] is None:
        return []
    frames = traceback.extract_tb(info[2])
    return [info[0].__name__, *(f"{one.filename}:{one.lineno} in {one.name}" for one in frames)]


def _failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    info: _Info = (kind, error, trace)
    logging.getLogger("ketafhir.service").critical("the service ends by a fault of ours", exc_info=info)


def _failed_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        info: _Info = (told.exc_type, told.exc_value, told.exc_traceback)
        logging.getLogger("ketafhir.service").critical("a thread ends by a fault of ours", exc_info=info)
