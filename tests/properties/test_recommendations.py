"""Laws of recommendations: whatever a shop knows and whoever asks, what may not be shown is not."""

from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given

from services.recommender.domain.relations import Rules, ShopRelations
from services.recommender.domain.serving import recommend
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.wish import Strategy, Wish
from tests.support.serving import baskets, candidate, has, product, says, shelf

NAMES = tuple("abcdefgh")
name = st.sampled_from(NAMES)
some = st.lists(name, max_size=3, unique=True)
weights = st.dictionaries(name, st.floats(-1, 1, width=32), max_size=5)


@st.composite
def shelves(draw: st.DrawFn) -> Shelf:
    """Give a shop of up to eight products of three categories, with whatever is known of them."""
    listed = draw(some)
    made = shelf(
        {
            one: says(
                one,
                *(candidate(other, draw(st.integers(0, 200)), 0.5) for other in draw(some) if other != one),
                weights=draw(weights),
                later=draw(weights),
            )
            for one in draw(some)
        },
        tuple(
            product(
                one,
                draw(st.sampled_from(["x", "y", None])),
                draw(st.sampled_from(["5", "20", None])),
                in_stock=draw(st.booleans()),
                stock=draw(st.sampled_from([None, 0, 2, 9])),
                brand=draw(st.sampled_from(["m", None])),
                seasons=draw(st.sampled_from([[], ["winter"]])),
                consumable=draw(st.booleans()),
            )
            for one in NAMES
            if one not in listed
        ),
        Rules.of(ShopRelations.model_validate({"bans": [{"product": one} for one in draw(some)]})),
        **{one: baskets(one, draw(st.integers(0, 50)), follows={"a": (3, 1.0)}) for one in draw(some)},
    )
    made.put_customer("c", has(*draw(some), returned=draw(some)))
    return made


@st.composite
def wishes(draw: st.DrawFn, made: Shelf) -> Wish:
    customer = made.customers["c"] if draw(st.booleans()) else None
    return Wish(
        basket=tuple(draw(st.lists(name, min_size=0 if customer else 1, max_size=3))),
        k=draw(st.integers(1, 6)),
        exclude=frozenset(draw(some)),
        max_price=draw(st.sampled_from([None, Decimal(10)])),
        strategy=draw(st.sampled_from(Strategy)),
        customer=customer,
        min_stock=draw(st.sampled_from([0, 3])),
        diverse=draw(st.booleans()),
    )


@given(st.data())
def test_what_may_not_be_shown_never_is(data: st.DataObject) -> None:
    made = data.draw(shelves())
    wish = data.draw(wishes(made))
    answer = recommend(made, wish)
    found = [pick.product for pick in answer.picks]
    assert len(found) == len(set(found)) <= wish.k
    assert not set(found) & (wish.exclude | made.rules.banned | answer.left_out.keys())
    if wish.strategy is not Strategy.REPLENISH:
        assert not set(found) & set(wish.basket)
        assert not (wish.customer and set(found) & wish.customer.owned.keys())
    assert not (wish.customer and set(found) & wish.customer.returned)
    for one in found:
        listing = made.listings[one]
        assert listing.in_stock
        assert listing.stock is None or listing.stock >= max(wish.min_stock, 1)
        assert wish.max_price is None or (listing.price is not None and listing.price <= wish.max_price)


@given(st.data())
def test_the_same_question_has_the_same_answer(data: st.DataObject) -> None:
    made = data.draw(shelves())
    wish = data.draw(wishes(made))
    assert recommend(made, wish) == recommend(made, wish)
