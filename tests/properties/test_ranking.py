"""The laws of ranking: what is said of a product rests on the newest rows and listings, not on how they came."""

from collections.abc import Mapping
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.recommender.domain.market import Market
from services.recommender.domain.relations import NO_RULES
from services.recommender.domain.shop import Listed
from shared.events import Complements, PairCounts
from tests.support.ranking import listed, row

PRODUCTS = "abcdefg"
OTHERS = st.dictionaries(st.sampled_from(PRODUCTS), st.integers(1, 60), max_size=5)


@st.composite
def rows(draw: st.DrawFn) -> PairCounts:
    product = draw(st.sampled_from(PRODUCTS))
    pairs, follows = draw(OTHERS), draw(OTHERS)
    pairs.pop(product, None)
    follows.pop(product, None)
    return row(product, draw(st.integers(0, 90)), pairs, follows=follows)


listings = st.tuples(
    st.sampled_from(PRODUCTS),
    st.builds(listed, st.sampled_from(["x", "y", None]), st.sampled_from(["1", "2", "3", None])),
)
News = PairCounts | tuple[str, Listed]


def told(news: list[News]) -> Mapping[str, Complements]:
    market = Market(5, 200)
    for one in news:
        if isinstance(one, PairCounts):
            market.put(one)
        else:
            market.put_listing(*one)
    for product in PRODUCTS:
        market.solve(product)
    return {product: market.complements(product, 1, NO_RULES) for product in PRODUCTS}


def newest(news: list[News]) -> list[News]:
    """Keep the last row and the last listing of each product."""
    kept: dict[tuple[bool, str], News] = {}
    for one in news:
        is_row = isinstance(one, PairCounts)
        kept[is_row, one.product_id if isinstance(one, PairCounts) else one[0]] = one
    return list(kept.values())


@given(st.lists(st.one_of(rows(), listings), max_size=14), st.randoms(use_true_random=False))
def test_ranking_does_not_depend_on_the_order_in_which_news_came(news: list[News], random: Random) -> None:
    shuffled = newest(news)
    random.shuffle(shuffled)
    expected, found = told(news), told(shuffled)
    for product, one in expected.items():
        other = found[product]
        assert other.candidates == one.candidates
        assert other.upgrades == one.upgrades
        for mine, theirs in ((one.weights, other.weights), (one.later, other.later)):
            assert all(abs(mine.get(key, 0) - theirs.get(key, 0)) < 2e-4 for key in mine | theirs)
