"""Ports for servers that the tests start."""

import socket


def free_port() -> int:
    """Ask the kernel for a TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
