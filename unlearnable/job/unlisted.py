"""What lies in a protected collection besides its outputs: pictures that are nobody's, labels that were changed."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from unlearnable.files import Collection, Item, Packable, Refused, decode, is_picture_name, kept
from unlearnable.files.collections.tables import NO_BYTES
from unlearnable.files.copying import hashed
from unlearnable.job.reasons import REST_DIFFERS

STRANGE = "it is not in the manifest: it came later, and nothing says that it is protected"
NOBODYS = "no original has such a name: nothing says that it is protected"


def strangers(outputs: Collection, known: AbstractSet[str], reason: str = STRANGE) -> list[tuple[str, str]]:
    """(name, reason) of what is nobody's output and is, packs or holds a picture, whatever it is called. In an array a
    black one stands for one that failed.
    """
    bare = isinstance(outputs, Packable) and not outputs.encoded
    found = (item for item in outputs.items if item.name not in known and _is_pictured(outputs, item))
    return [(item.name, reason) for item in found if not (bare and _is_black(outputs, item))]


def beside(outputs: Collection, places: Mapping[str, int], wanted: str | None) -> list[tuple[str, str]]:
    """(name, reason) where what lies beside the pictures of a table or an array file is not as wanted; see `kept`.

    places: of the outputs that are known; a label belongs to the picture of its row, so that their order counts.
    """
    try:
        found = kept(outputs)
    except Refused as reason:
        return [(outputs.path.name, f"what lies beside the pictures {reason}")]
    order = [places[item.name] for item in outputs.items if item.name in places]
    if found is not None and wanted not in (None, found):
        return [(outputs.path.name, REST_DIFFERS)]
    if found is not None and order != sorted(order):
        return [(outputs.path.name, "its rows are in another order than those of the originals")]
    return []


def _is_pictured(outputs: Collection, item: Item) -> bool:
    """Whether it is nothing that `protect` would copy as it is; so is what cannot be read, unless nothing is there."""
    if item.problem == NO_BYTES:
        return False
    if is_picture_name(item.name):
        return True
    try:
        hashed(outputs.blocks(item))
    except Refused:
        return True
    return False


def _is_black(outputs: Collection, item: Item) -> bool:
    try:
        return not decode(outputs.read(item), item.name).planes.any()
    except Refused:
        return False
