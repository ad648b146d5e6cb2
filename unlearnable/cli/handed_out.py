"""Of networks that a method hands out: whether there will be any, and where they lie."""

from pathlib import Path

from unlearnable.addresses import shown


def draws_networks(method: str) -> bool:
    """Whether a method that is not fitted yet is for networks that are to be drawn."""
    from unlearnable.protections import PROTECTIONS, protection
    from unlearnable.training import Handing

    return method.partition(":")[0] in PROTECTIONS and isinstance(protection(method), Handing)


def for_whom(fitted: Path) -> str:
    """Where the bundles of networks lie that were drawn for a fit."""
    found = [shown(str(path)) for path in sorted(fitted.glob("authorised-*"))]
    if not found:
        return ""
    return f"\nfor networks that may learn, whose bundles are {', '.join(found)}: whoever has one may; publish none"
