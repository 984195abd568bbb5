"""Products as the shop sells them."""

from typing import Literal

from shared.events.envelope import Amount, Currency, Data, Event, Identifier, Moment


class Product(Data):
    """A product as it is now; the latest `updated_at` wins. `url` and `image_url` are https."""

    product_id: Identifier
    updated_at: Moment
    name: str
    category: str | None = None
    brand: str | None = None
    price: Amount | None = None
    currency: Currency | None = None
    in_stock: bool = True
    consumable: bool = False
    url: str | None = None
    image_url: str | None = None


class ProductRecorded(Event):
    """A product was added to the catalogue or changed."""

    type: Literal["orderwake.product.recorded.v1"] = "orderwake.product.recorded.v1"
    data: Product
