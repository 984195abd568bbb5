"""The laws of counting: whatever arrives, in whatever order, however often, with a crash wherever: a recount says the same."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommender.recount import Counts, recount
from shared.events import OrderStatus, ReturnStatus
from shared.topics import BASKET_DELTAS, ORDERS, RETURNS
from tests.support.affinity import Fact, Stages, bought, sent_back

TOPICS = (ORDERS.name, RETURNS.name, BASKET_DELTAS.name)
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


histories = st.lists(facts(), max_size=24).map(one_state_per_version)
steps = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 1), st.integers(1, 4)), max_size=40)


def learned(history: Iterable[Fact], order: tuple[str, ...] = TOPICS) -> Counts:
    stages = Stages(partitions=2)
    for fact in history:
        stages.put(fact)
    return stages.finish(order)


@given(histories)
def test_the_two_stages_equal_a_recount(history: list[Fact]) -> None:
    assert learned(history) == recount(history)


@given(products=QUANTITIES, return_first=st.booleans())
def test_an_order_and_its_full_return_teach_nothing(products: dict[str, int], *, return_first: bool) -> None:
    both: list[Fact] = [bought("ann", "o", products), sent_back("ann", "o", products)]
    order = (RETURNS.name, ORDERS.name, BASKET_DELTAS.name) if return_first else TOPICS
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
@given(
    histories,
    steps,
    st.frozensets(st.integers(1, 120), max_size=12),
    st.permutations(TOPICS),
    st.integers(1, 4),
)
def test_crashes_between_any_two_writes_lose_and_double_nothing(
    history: list[Fact],
    schedule: list[tuple[str, int, int]],
    crashes: frozenset[int],
    ending: list[str],
    commit_every: int,
) -> None:
    stages = Stages(partitions=2, crashes=crashes, commit_every=commit_every)
    for fact in history:
        stages.put(fact)
    for topic, partition, size in schedule:
        stages.step(topic, partition, size)
    assert stages.finish(ending) == recount(history)
