"""TCP keep-alive: a connection that a firewall has forgotten is found out, and a quiet one is not forgotten."""

from __future__ import annotations

import socket

_SECONDS = 120  # firewalls and clouds forget a silent connection after 4 to 10 minutes


def keep_alive(sock: socket.socket) -> None:
    """Of a connection, or of a listening socket, whose connections inherit it. Not every system has every option."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _SECONDS), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
