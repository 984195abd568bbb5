"""The first stage, batch by batch."""

from services.recommender.learning import ORDERS_A_MOVE
from services.recommender.recount import recount
from shared.events import HistoryMoved, decode
from shared.topics import BASKET_DELTAS, BY_NAME, CUSTOMER_MOVES, CUSTOMERS, ORDERS
from tests.support.affinity import News, Stages, bought, known_as


def test_a_long_history_is_handed_on_in_records_that_stay_small() -> None:
    news: list[News] = [bought("guest", f"o{number:02}", "ab", day=number) for number in range(50)]
    news.append(known_as("ann", "guest"))
    stages = Stages(partitions=2)
    for one in news:
        stages.put(one)
    counts = stages.finish((ORDERS.name, CUSTOMERS.name, CUSTOMER_MOVES.name, BASKET_DELTAS.name))
    assert counts == recount(news)
    told = [
        decode(value, BY_NAME[CUSTOMER_MOVES.name].types)
        for (topic, _), rows in stages.logs.items()
        for _, value in rows
        if topic == CUSTOMER_MOVES.name
    ]
    handed_on = [len(event.data.orders) for event in told if isinstance(event, HistoryMoved)]
    assert handed_on == [ORDERS_A_MOVE, ORDERS_A_MOVE, 50 - 2 * ORDERS_A_MOVE]
    assert len({event.id for event in told}) == len(told)
