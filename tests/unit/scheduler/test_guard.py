"""Guards: what is counted once and together, what its rates prove however often one looks, and what is only noise."""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.scheduler.domain import CustomerState, apply
from services.scheduler.domain.customer import VerdictFacts
from services.scheduler.domain.erasure import erase
from services.scheduler.domain.guard import (
    NEVER,
    SENT,
    Cohort,
    Tally,
    at_least,
    at_most,
    exceeds,
    judge,
    responded,
    sent,
)
from services.scheduler.domain.programme import Guards
from shared.events import Channel, EngagementKind, Verdict
from tests.support.samples import CUSTOMER, SHOP, START, engagement

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
ENROLMENT = uuid4()
FIRST, SECOND = UUID(int=1), UUID(int=2)


def never(_: str, __: str) -> datetime | None:
    return None


def fact(at: datetime = START, **changes: object) -> VerdictFacts:
    """A message of a step that was sent at a time."""
    known = VerdictFacts(
        journey="routine", enrolment_id=ENROLMENT, order_id="o-1", step="pair", occurrence=0,
        channel=Channel.EMAIL, verdict=Verdict.SEND, decided_at=at, attempt=1,
    )  # fmt: skip
    return replace(known, **changes)


def customer(**verdicts: VerdictFacts) -> CustomerState:
    names = {"first": FIRST, "second": SECOND}
    return CustomerState(
        shop=SHOP, customer_id=CUSTOMER, verdicts={names[name]: each for name, each in verdicts.items()}
    )


def cohort(
    step: str = "pair", *, days_ago: int = 1, place: int = 1, channel: Channel = Channel.EMAIL
) -> Cohort:
    return Cohort(SHOP, "routine", step, channel, place, NOW.date() - timedelta(days=days_ago), NEVER)


@pytest.mark.parametrize("limit", [0.005, 0.02])
def test_a_journey_at_its_limit_is_hardly_ever_stopped_however_often_one_looks(limit: float) -> None:
    chance = random.Random(7)  # noqa: S311  a repeatable draw, not a secret
    stopped = 0
    for _ in range(200):
        hits = 0
        for trials in range(1, 4001):
            hits += chance.random() < limit
            if trials % 10 == 0 and exceeds(hits, trials, limit):
                stopped += 1
                break
    assert stopped <= 0.01 * 200 + 2


@pytest.mark.parametrize(("factor", "within"), [(2.0, 12_000), (4.0, 2_000)])
def test_a_journey_well_over_its_limit_is_stopped(factor: float, within: int) -> None:
    chance = random.Random(8)  # noqa: S311  as above
    for _ in range(30):
        drawn = [chance.random() < 0.005 * factor for _ in range(within)]
        assert any(exceeds(sum(drawn[:trials]), trials, 0.005) for trials in range(500, within + 1, 250))


def test_four_complaints_of_five_hundred_may_be_chance_and_five_are_not() -> None:
    assert not exceeds(4, 500, 0.001)
    assert exceeds(5, 500, 0.001)


@given(st.integers(1, 5000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_bounds_lie_around_the_share_that_was_seen(case: tuple[int, int]) -> None:
    hits, trials = case
    low, high = at_least(hits, trials), at_most(hits, trials)
    assert 0.0 <= low <= hits / trials <= high <= 1.0
    if low > 1e-6:
        assert exceeds(hits, trials, low * 0.999)
        assert not exceeds(hits, trials, low * 1.001)


def test_a_limit_of_everything_is_never_exceeded_and_nothing_proves_nothing() -> None:
    assert not exceeds(900, 1000, 1.0)
    assert not exceeds(1000, 1000, 1.0)
    assert at_least(0, 0) == 0.0


@pytest.mark.parametrize(
    ("tally", "limit"),
    [
        (Tally(sends=2000, complaints=12), "complaints"),
        (Tally(sends=2000, bounces=90), "bounces"),
        (Tally(sends=2000, unsubscribes=40), "unsubscribes"),
        (Tally(sends=2000, complaints=2, bounces=40, unsubscribes=10), None),
        (Tally(sends=499, complaints=400), None),
    ],
)
def test_each_limit_stops_a_journey_that_is_certainly_over_it(tally: Tally, limit: str | None) -> None:
    breach = judge({cohort(): tally}, Guards(), NOW)
    assert (breach.limit if breach else None) == limit


def test_the_reason_has_the_figures_and_no_more_digits_than_they_bear() -> None:
    breach = judge({cohort(): Tally(sends=2000, unsubscribes=40)}, Guards(), NOW)
    assert breach is not None
    assert breach.why == (
        "unsubscribes: 40 of 2000 messages of step pair (email), 2.00%, and at least 1.10% with 99% confidence; "
        "the limit is 0.50%"
    )


def test_one_bad_step_stops_a_journey_whose_other_steps_hide_it() -> None:
    counts = {
        cohort(): Tally(sends=20_000, unsubscribes=20),
        cohort("late"): Tally(sends=1000, unsubscribes=25),
    }
    breach = judge(counts, Guards(), NOW)
    assert breach is not None
    assert "step late" in breach.why


def test_steps_too_small_to_judge_are_judged_together() -> None:
    counts = {cohort(f"step-{number}"): Tally(sends=200, unsubscribes=6) for number in range(5)}
    breach = judge(counts, Guards(), NOW)
    assert breach is not None
    assert "of the whole journey" in breach.why


def test_what_was_sent_before_the_window_is_left_out() -> None:
    old = {cohort(days_ago=8): Tally(sends=2000, complaints=40)}
    assert judge(old, Guards(), NOW) is None
    assert judge(old, Guards.model_validate({"window": "8d"}), NOW) is not None


def decay(
    first: int, later: int, *, sends: int = 4000, days_ago: int = 4, channel: Channel = Channel.EMAIL
) -> str | None:
    """Which limit is over, where so many of the first and of the second messages were opened."""
    counts = {
        cohort(days_ago=days_ago, channel=channel): Tally(sends=sends, opens=first),
        cohort("later", days_ago=days_ago, place=2, channel=channel): Tally(sends=sends, opens=later),
    }
    breach = judge(counts, Guards(), NOW)
    return breach.limit if breach else None


def test_later_messages_that_are_opened_much_less_stop_a_journey() -> None:
    assert decay(1200, 800) == "open_decay"
    assert decay(1200, 1100) is None
    assert decay(1200, 1060) is None  # over the limit, but not certainly
    assert decay(0, 0) is None
    assert decay(150, 75, sends=499) is None


def test_opens_are_compared_only_over_days_on_which_all_are_in_and_for_email() -> None:
    assert decay(1200, 800, days_ago=2) is None
    assert decay(1200, 800, days_ago=3) == "open_decay"
    assert decay(1200, 800, days_ago=20) is None
    assert decay(1200, 800, channel=Channel.SMS) is None


def test_a_message_is_counted_by_its_step_day_and_place_in_its_enrolments_sequence() -> None:
    known = customer(first=fact(), second=fact(START + timedelta(days=2), step="later"))
    found = sent(known, SECOND, never)
    assert found == Cohort(
        SHOP, "routine", "later", Channel.EMAIL, 2, (START + timedelta(days=2)).date(), NEVER
    )
    assert (one := sent(known, FIRST, never)) is not None
    assert one.place == 1


@pytest.mark.parametrize(
    "other",
    [
        {"enrolment_id": uuid4()},
        {"channel": Channel.SMS},
        {"verdict": Verdict.SKIP},
        {"verdict": Verdict.GHOST},
    ],
    ids=str,
)
def test_only_messages_of_the_same_enrolment_and_channel_go_before(other: dict[str, Any]) -> None:
    known = customer(first=fact(**other), second=fact(START + timedelta(days=2)))
    found = sent(known, SECOND, never)
    assert found is not None
    assert found.place == 1


@pytest.mark.parametrize(
    "other",
    [
        {"verdict": Verdict.GHOST},
        {"verdict": Verdict.SKIP},
        {"channel": Channel.PAGE},
        {"channel": Channel.EVENT},
    ],
    ids=str,
)
def test_what_is_no_message_is_not_counted(other: dict[str, Any]) -> None:
    assert sent(customer(first=fact(**other)), FIRST, never) is None
    assert sent(customer(), FIRST, never) is None


def test_messages_from_before_a_resume_are_not_counted_and_later_ones_are_counted_anew() -> None:
    resumed = START + timedelta(hours=1)
    known = customer(first=fact(), second=fact(resumed))
    assert sent(known, FIRST, lambda *_: resumed) is None
    assert (found := sent(known, SECOND, lambda *_: resumed)) is not None
    assert found.since == resumed


_KINDS = [
    EngagementKind.OPENED,
    EngagementKind.CLICKED,
    EngagementKind.UNSUBSCRIBED,
    EngagementKind.COMPLAINED,
    EngagementKind.BOUNCED,
    EngagementKind.DELIVERED,
]
_NEWS = st.builds(
    lambda message, kind, hours: engagement(message, kind, at=START + timedelta(hours=hours)),
    st.sampled_from([FIRST, SECOND, uuid4(), None]),
    st.sampled_from(_KINDS),
    st.integers(1, 100),
)


def counted(
    batches: Iterable[Iterable[object]], known: CustomerState
) -> tuple[CustomerState, dict[Cohort, Tally]]:
    """Apply batches as the intake does, and add up what each counts."""
    total: defaultdict[Cohort, Tally] = defaultdict(Tally)
    for batch in batches:
        before = known
        for event in batch:
            known = apply(known, event)  # type: ignore[arg-type]  # engagement
        for where, tally in responded(before, known, never).items():
            total[where] += tally
    return known, dict(total)


@given(st.lists(_NEWS, max_size=20), st.randoms(use_true_random=False))
def test_each_kind_of_response_counts_once_for_a_message_however_it_comes(
    news: list[object], chance: random.Random
) -> None:
    known = customer(first=fact(), second=fact(START + timedelta(hours=1)))
    state, once = counted([news], known)
    again = [*news, *news]
    chance.shuffle(again)
    other, shuffled = counted([[event] for event in again], known)
    assert state == other
    assert once == shuffled
    for where, tally in once.items():
        assert max(tally.opens, tally.unsubscribes, tally.complaints, tally.bounces) <= SENT.sends
        assert where.place in {1, 2}


def test_an_open_counts_within_two_days_of_the_message() -> None:
    known = customer(first=fact())
    late = engagement(FIRST, EngagementKind.OPENED, at=START + timedelta(hours=49))
    soon = engagement(FIRST, EngagementKind.OPENED, at=START + timedelta(hours=48))
    assert counted([[late]], known)[1] == {}
    assert [tally.opens for tally in counted([[late], [soon], [soon]], known)[1].values()] == [1]


def test_what_an_erased_customer_did_is_neither_taken_back_nor_counted_again() -> None:
    complained = engagement(FIRST, EngagementKind.COMPLAINED)
    state, _ = counted([[complained]], customer(first=fact()))
    assert responded(state, erase(state), never) == {}
    assert counted([[complained]], erase(state))[1] == {}
