"""Networks as policies and security groups write them."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NARROWEST: Final = {4: 8, 6: 7}
"""Bits of the largest private networks, 10.0.0.0/8 and fc00::/7: what has fewer is a part of the internet."""


def is_everybody(cidr: object) -> bool:
    """The network is the internet or a large part of it, as 0.0.0.0/1 is; or it is no network."""
    try:
        network = ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return True
    return network.prefixlen < _NARROWEST[network.version]


def within(address: Address, cidr: object) -> bool | None:
    """Whether the address is in the network; None for what is no network."""
    try:
        return address in ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return None
