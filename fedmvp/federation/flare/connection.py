"""A TLS handshake with the server, with a site's certificate, as FLARE's channel makes it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from fedmvp.errors import ConfigError
from fedmvp.federation.flare.layout import Kit
from fedmvp.files import read_json

__all__ = ["Handshake", "shake_hands"]

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Handshake:
    """What the server showed in a TLS handshake.

    Parameters
    ----------
    server, cipher : str
    skew_s : float or None
        Seconds until the server's certificate becomes valid, negative once it is; None where the
        certificate gives no date.
    """

    server: str
    cipher: str
    skew_s: float | None


def shake_hands(kit: Kit) -> Handshake:
    """Connect with the kit's certificate, and find out whether the server accepts it.

    Raises
    ------
    ConfigError
        When the server cannot be reached, is not this federation's, or rejects the certificate.
    """
    entry = read_json(kit.startup / "fed_client.json")["servers"][0]
    host, _, port = entry["service"]["target"].rpartition(":")
    context = ssl.create_default_context(cafile=str(kit.startup / "rootCA.pem"))
    context.load_cert_chain(kit.startup / "client.crt", kit.startup / "client.key")
    context.set_alpn_protocols(["h2"])
    where = f"{host}:{port}"
    try:
        with (
            socket.create_connection((host, int(port)), _PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            # Under TLS 1.3 the server checks our certificate after its own part of the
            # handshake: it then either continues with HTTP/2 or ends the connection.
            if not secure.recv(1):
                raise ConfigError(_REFUSED, where=where, hint=_KIT)
            cipher = secure.cipher()
            return Handshake(where, cipher[0] if cipher else "", _skew(secure.getpeercert()))
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(
            f"the server's certificate was rejected ({error.verify_message})",
            where=where,
            hint="check the clock; ask the organiser whether this kit belongs to this federation",
        ) from None
    except ssl.SSLError as error:
        raise ConfigError(f"{_REFUSED} ({error.reason})", where=where, hint=_KIT) from None
    except OSError as error:
        raise ConfigError(
            f"cannot be reached ({error.strerror or error})",
            where=where,
            hint="does `fedmvp federation serve` run there, and does the firewall let this one "
            "outgoing port through?",
        ) from None


_REFUSED = "the server rejected this site's certificate"
_KIT = "ask the organiser for a new kit: `fedmvp federation renew`"


def _skew(certificate: object) -> float | None:
    if not isinstance(certificate, dict) or "notBefore" not in certificate:
        return None
    begins = ssl.cert_time_to_seconds(str(certificate["notBefore"]))
    return begins - datetime.now(UTC).timestamp()
