"""Where a language model's server is, and whether there is a proxy in between."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from fedmvp.attributes.providers.base import ProviderUnusable

__all__ = ["ServerAddress", "server_address"]


@dataclass(frozen=True)
class ServerAddress:
    """An http(s) address.

    Attributes
    ----------
    url : str
        As given; may hold a user name, a password or a token.
    here : bool
        On this machine, where no proxy can reach it.
    proxy_variable : str
        Environment variable whose proxy requests go through; empty: none.
    proxy : str
        That proxy; may hold a password.
    """

    url: str
    here: bool
    proxy_variable: str = ""
    proxy: str = ""

    @property
    def shown(self) -> str:
        """Host and port for messages, and the proxy's variable."""
        server = f"server {urlsplit(self.url).netloc.rpartition('@')[2]}"
        if not self.proxy_variable:
            return server
        return f"{server}, through the proxy of {self.proxy_variable}"

    def hint(self, text: str) -> str:
        """Add what to do about the proxy, if there is one."""
        if not self.proxy_variable:
            return text
        host = urlsplit(self.url).hostname
        return f"{text}; if {host} is to be reached without the proxy, add it to NO_PROXY"


def server_address(url: str) -> ServerAddress:
    """Read an address, and the proxy that the environment has for it.

    Raises
    ------
    ProviderUnusable
        When it is no http(s) address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        sound = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        # Without the value: a mistyped address may hold a password.
        raise ProviderUnusable(
            "not an http(s) address",
            where="OPENAI_BASE_URL",
            hint="set it to something like http://localhost:8000/v1",
        )
    if _on_this_machine(host):
        return ServerAddress(url, here=True)
    proxies = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if kind in proxies), "")
    if not kind or proxy_bypass(host):
        return ServerAddress(url, here=False)
    return ServerAddress(url, False, f"{kind}_proxy".upper(), proxies[kind])


def _on_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
