"""The laws of counting: whatever arrives, in whatever order, however often, with a crash wherever: a recount says the same."""

import random
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommender.recount import Counts, recount
from shared.events import OrderStatus, ReturnStatus
from shared.topics import BASKET_DELTAS, CUSTOMER_MOVES, CUSTOMERS, ORDERS, RETURNS
from tests.support.affinity import SHOP, Fact, News, Stages, bought, known_as, sent_back

TOPICS = (ORDERS.name, RETURNS.name, CUSTOMERS.name, CUSTOMER_MOVES.name, BASKET_DELTAS.name)
QUANTITIES = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3), min_size=1, max_size=4)


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    customer = draw(st.sampled_from(["ann", "bob", "cyd"]))
    order_id = f"{customer}-{draw(st.integers(1, 12))}"
    version, products = draw(st.integers(1, 3)), draw(QUANTITIES)
    if draw(st.booleans()):
        return bought(
            customer,
            order_id,
            products,
            day=draw(st.sampled_from([0, 1, 40, 130, 300, 370])),
            version=version,
            status=draw(st.sampled_from([OrderStatus.PLACED, OrderStatus.PLACED, OrderStatus.CANCELLED])),
            test=draw(st.sampled_from([False, False, False, True])),
        )
    return sent_back(
        customer,
        order_id,
        products,
        return_id=draw(st.sampled_from(["r1", "r2"])),
        version=version,
        status=draw(st.sampled_from(list(ReturnStatus))),
    )


def one_state_per_version(drawn: Iterable[Fact]) -> list[Fact]:
    """Keep the first of the facts that claim the same version of the same thing."""
    kept: dict[tuple[object, ...], Fact] = {}
    for fact in drawn:
        return_id = getattr(fact.data, "return_id", None)
        kept.setdefault((fact.customerid, fact.data.order_id, return_id, fact.data.version), fact)
    return list(kept.values())


joinings = st.lists(
    st.sampled_from([known_as("ann", "bob"), known_as("cyd", "ann"), known_as("ann", "bob", "dan")]),
    max_size=3,
)
histories = st.lists(facts(), max_size=24).map(one_state_per_version)
busy = st.lists(facts(), min_size=8, max_size=24).map(one_state_per_version)


def learned(history: Iterable[News], order: tuple[str, ...] = TOPICS) -> Counts:
    stages = Stages(partitions=2)
    for fact in history:
        stages.put(fact)
    return stages.finish(order)


@given(histories)
def test_the_two_stages_equal_a_recount(history: list[Fact]) -> None:
    assert learned(history) == recount(history)


def test_an_order_whose_state_changes_but_not_its_products_still_leads_to_what_follows() -> None:
    history: list[Fact] = [
        bought("bob", "bob-1", {"a": 1}, day=0),
        bought("bob", "bob-1", {"a": 1}, day=0, version=2),
        bought("bob", "bob-2", {"b": 1}, day=1),
    ]
    assert learned(history) == recount(history) == learned(history[1:])


@given(products=QUANTITIES, return_first=st.booleans())
def test_an_order_and_its_full_return_teach_nothing(products: dict[str, int], *, return_first: bool) -> None:
    both: list[Fact] = [bought("ann", "o", products), sent_back("ann", "o", products)]
    order = (RETURNS.name, *TOPICS) if return_first else TOPICS
    assert learned(both, order) == {}
    assert recount(both) == {}


@given(histories, st.permutations(range(24)))
def test_any_interleaving_of_what_happened_gives_the_same_counts(
    history: list[Fact], places: list[int]
) -> None:
    shuffled = [history[place] for place in places if place < len(history)]
    assert learned(shuffled) == learned(history)


@given(histories, st.lists(st.integers(0, 23), max_size=10))
def test_duplicates_of_records_change_nothing(history: list[Fact], again: list[int]) -> None:
    repeated = [*history, *(history[number] for number in again if number < len(history))]
    assert learned(repeated) == learned(history)


@settings(max_examples=300)
@given(busy, joinings, st.integers(0, 2**32), st.permutations(TOPICS))
def test_crashes_between_any_two_writes_lose_and_double_nothing(
    history: list[Fact], known: list[News], seed: int, ending: list[str]
) -> None:
    chance = random.Random(seed)  # noqa: S311  which writes are the last ones, the same for a seed
    crashes = frozenset(chance.sample(range(1, 80), 16))
    stages = Stages(partitions=2, crashes=crashes, commit_every=chance.randint(1, 4))
    for fact in [*history, *known]:
        stages.put(fact)
    for _ in range(40):
        stages.step(chance.choice(TOPICS), chance.randrange(2), chance.randint(1, 4))
    assert stages.finish(ending) == recount([*history, *known])


@given(histories, joinings, st.permutations(range(27)))
def test_guests_who_become_customers_count_as_one_whenever_it_is_known(
    history: list[Fact], known: list[News], places: list[int]
) -> None:
    news = [*history, *known]
    shuffled = [news[place] for place in places if place < len(news)]
    assert learned(shuffled) == recount(news)


@given(histories, joinings, st.sampled_from(["ann", "bob", "cyd"]))
def test_those_who_are_erased_taught_nothing(history: list[Fact], known: list[News], customer: str) -> None:
    stages = Stages(partitions=2)
    for fact in [*history, *known]:
        stages.put(fact)
    stages.finish(TOPICS)
    stages.erase(customer)
    assert stages.finish(TOPICS) == recount([*history, *known], erased={(SHOP, customer)})
