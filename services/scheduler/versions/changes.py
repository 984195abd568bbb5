"""What a folder, or an older version, would change in what is in force."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.scheduler.domain import Journey
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Published
from services.scheduler.domain.publishing import Kind, current, version_of
from services.scheduler.versions.publications import Item
from shared.errors import PublicationError


@dataclass(frozen=True, slots=True)
class Change:
    """One journey, or one shop's programme, before and after; None where there is none."""

    kind: Kind
    shop: str
    name: str
    old: Item | None
    new: Item | None

    @property
    def differs(self) -> bool:
        """Whether anything would be other than it is."""
        return self.old is None or self.new is None or version_of(self.old) != version_of(self.new)


def of_folder(
    published: Published,
    journeys: Mapping[str, Journey],
    programmes: Mapping[str, Programme],
    withdrawn: Collection[str] = (),
) -> list[Change]:
    """List what differs from what is in force, by name; what only is in force stays, unless it is `withdrawn`.

    Raises PublicationError if a journey's id is another shop's, or what is withdrawn is not in force.
    """
    standing = current(published)
    items: list[Item] = [*journeys.values(), *programmes.values()]
    found = [of_item(published, item) for item in items]
    found += [_withdrawal(published, standing, name) for name in withdrawn]
    return sorted((each for each in found if each.differs), key=lambda each: (each.kind, each.name))


def of_item(published: Published, item: Item) -> Change:
    """Return what a journey or programme would change, if anything. Raises PublicationError on another shop's id."""
    if isinstance(item, Programme):
        return Change("programme", item.shop, item.shop, published.programmes.get(item.shop), item)
    old = current(published).get(item.id)
    taken = next((each.journey for each in published.editions if each.journey.id == item.id), None)
    if taken is not None and taken.shop != item.shop:
        message = f"journey {item.id} is of shop {taken.shop}, not {item.shop}; give it an id of its own"
        raise PublicationError(message)
    return Change("journey", item.shop, item.id, old, item)


def _withdrawal(published: Published, standing: Mapping[str, Journey], name: str) -> Change:
    if name in standing:
        return Change("journey", standing[name].shop, name, standing[name], None)
    if name in published.programmes:
        return Change("programme", name, name, published.programmes[name], None)
    pinned = next((each.journey for each in published.editions if each.journey.id == name), None)
    if pinned is not None:
        return Change("journey", pinned.shop, name, pinned, None)
    known = ", ".join(sorted([*standing, *published.programmes])) or "nothing"
    message = f"{name} cannot be withdrawn: it is not in force; in force are: {known}"
    raise PublicationError(message)
