"""What is known of one product with others, as people and machines are told it."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.recommender.domain.lookup import Affinities, Neighbourhood, ladder, neighbourhood
from shared.events import Timing

_LONGEST_NAME = 44
_NEIGHBOUR = TypeAdapter(Neighbourhood)


def as_data(counts: Affinities, shop: str, product: str, top: int) -> dict[str, Any]:
    """Say it for machines."""
    repurchase = counts.repurchase.get(product)

    def told(found: Iterable[Neighbourhood]) -> list[dict[str, Any]]:
        return [
            _NEIGHBOUR.dump_python(one, mode="json") | {"name": counts.names.get(one.product)}
            for one in found
        ]

    return {
        "shop": shop,
        "product": product,
        "name": counts.names.get(product),
        "orders": counts.orders.get(product, 0),
        "repurchase": repurchase.model_dump(mode="json") if repurchase else None,
        "neighbours": told(neighbourhood(counts, product, top)),
        "upgrades": told(ladder(counts, product)),
    }


def tell(console: Console, counts: Affinities, product: str, top: int) -> None:
    """Say it for people."""
    found, upgrades = neighbourhood(counts, product, top), ladder(counts, product)
    console.print(_title(counts, product))
    console.print(_table(counts, product, found) if found else "Nothing was bought with it yet.")
    if upgrades:
        console.print("\nupgrades, by customers who bought them later")
        console.print(_table(counts, product, upgrades))


def days(timing: Timing | None) -> str:
    """Say in how many days a quarter, half and three quarters of those who buy have bought."""
    return " / ".join(f"{day:.0f}" for day in timing.days) if timing else "-"


def _title(counts: Affinities, product: str) -> Text:
    name, repurchase = counts.names.get(product), counts.repurchase.get(product)
    again = (
        f"\nbought again by {repurchase.share:.0%} of its buyers, half of these within {repurchase.days[1]:.0f} days"
        f" (quartiles {days(repurchase)}, {repurchase.support:,} purchases)"
        if repurchase
        else ""
    )
    return Text.assemble(
        (product, "bold"),
        f" ({name})" if name else "",
        f", in {counts.orders.get(product, 0):,} baskets",
        again,
    )


def _table(counts: Affinities, product: str, found: Iterable[Neighbourhood]) -> Table:
    own = f"{counts.orders.get(product, 0):,}"
    table = Table(box=None, pad_edge=False)
    for name in ("neighbour", "name"):
        table.add_column(name, header_style="dim", max_width=_LONGEST_NAME, no_wrap=True)
    for name in ("with both", "later", "with this", "with that", "lift", "score"):
        table.add_column(name, justify="right", header_style="dim")
    for name in ("relation", "days until", ""):
        table.add_column(name, header_style="dim")
    for one in found:
        table.add_row(
            one.product,
            counts.names.get(one.product, ""),
            f"{one.support:,}",
            f"{one.later:,}",
            own,
            f"{one.orders:,}",
            "-" if one.lift is None else f"{one.lift:.2f}",
            "-" if one.score is None else f"{one.score:.3f}",
            one.relation or "not ranked",
            days(one.gap),
            _reliability(one),
        )
    return table


def _reliability(one: Neighbourhood) -> Text:
    if one.score is None or one.reliable:
        return Text("")
    counted = "customers" if one.relation in ("sequence", "upgrade") else "baskets"
    return Text(f"under 100 {counted}", style="yellow")
