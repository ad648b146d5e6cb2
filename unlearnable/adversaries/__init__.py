"""What a data thief may do with protected images: each adversary is a Recipe, and is told nothing of the protection."""

from unlearnable.training import Recipe

ADVERSARIES: dict[str, Recipe] = {
    "standard": Recipe(),
}


def adversary(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError naming those there are."""
    if name not in ADVERSARIES:
        raise ValueError(f"adversary must be one of {', '.join(ADVERSARIES)}, got {name!r}")
    return ADVERSARIES[name]
