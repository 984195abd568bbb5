"""Products as the shop sells them."""

from typing import Annotated, Literal

from pydantic import Field

from shared.events.envelope import Amount, Currency, Data, Event, Identifier, Moment, Text

SeasonName = Literal["winter", "spring", "summer", "autumn"]


class Product(Data):
    """A product as it is now; the latest `updated_at` wins. `url` and `image_url` are https.

    Where the shop tells: `stock` is what is left, in units; `margin` what the shop earns on one, in `currency`; `seasons`
    when it is wanted (none: always).
    """

    product_id: Identifier
    updated_at: Moment
    name: Text
    category: Text | None = None
    brand: Text | None = None
    price: Amount | None = None
    currency: Currency | None = None
    in_stock: bool = True
    consumable: bool = False
    stock: Annotated[int, Field(ge=0)] | None = None
    margin: Amount | None = None
    seasons: tuple[SeasonName, ...] = ()
    url: Text | None = None
    image_url: Text | None = None


class ProductRecorded(Event):
    """A product was added to the catalogue or changed."""

    type: Literal["orderwake.product.recorded.v1"] = "orderwake.product.recorded.v1"
    data: Product
