"""Ports a server of ours listens on."""

from __future__ import annotations

import socket

from fedmvp.errors import ConfigError

__all__ = ["require_free"]


def require_free(host: str, port: int, command: str) -> None:
    """Check a port before a server does, which would fail with a traceback, after seconds.

    Parameters
    ----------
    command : str
        For the hint: what may be running already.

    Raises
    ------
    ConfigError
        When the port is impossible or taken, or the host is none of this machine's.
    """
    if not 1 <= port <= 65535:
        raise ConfigError("no such port", where="--port", value=port, hint="use 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server does, so that a port whose connections just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise ConfigError(
                f"no such host ({error.strerror})",
                where="--host",
                value=host,
                hint="use 127.0.0.1, or an address of this machine",
            ) from None
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror})",
                where="--port",
                value=port,
                hint=f"if `{command}` is already running, open http://{host}:{port}; otherwise "
                f"choose another port, e.g. --port {port + 1 if 1023 < port < 65535 else 5001}",
            ) from None
