"""What goes with several products at once, and what a customer buys next, out of what is published of each product.

For a basket the weights of its products are added up, more for what sells more of late than it used to, as
`relevance.score_complement` does offline; where a shop's products have none yet, shares are added up and weighed by
popularity:

    sum over i in basket of share(j | i)  /  (n_j + DAMPING) ** ALPHA

that is by how many of j to expect from the basket, so that what goes with several of its products leads.

For a customer's next purchase three parts are added up, each measured by its own top, as `relevance.score_next` does: what
owners of their products own, fresh ones counting more; what is bought after them, per order that could have held it; and
what returning customers have begun to buy of late.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

import numpy as np

from services.recommender.domain.relevance import DEFAULT as RELEVANCE
from services.recommender.domain.rows import FOLLOWS_HALF_LIFE
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.shop import ALPHA, DAMPING
from services.recommender.domain.votes import EMPTY, Row, Scores, Votes, best_first, by_its_top
from services.recommender.domain.wish import Neighbour, Owned, Pick
from shared.events.affinity import Relation

OWNED_READ = 100
"""So many of a customer's latest products are looked at."""
_VOICES = 5
_DAY = 86_400.0

Coming = tuple[str, Callable[[], Pick]]
"""A product that comes up, and how to make a pick of it, which costs more than to leave it out."""


def picked(one: Neighbour, because: str | None, *voices: str) -> Pick:
    """Make a pick of evidence."""
    return Pick(
        one.product, one.score, one.support, one.relation, one.reliable, because, one.gap, None, voices
    )


def popular(product: str, share: float, relation: Relation = "popular") -> Pick:
    """Make a pick of a product's share of what is bought."""
    return Pick(product, round(share, 6), 0, relation, reliable=False, because=None)


def together(shelf: Shelf, basket: Sequence[str]) -> Iterator[Coming]:
    """Yield what goes with a basket, best first; for one product that is the ranker's order."""
    asked = [product for product in dict.fromkeys(basket) if product in shelf.around]
    if len(asked) == 1:
        (product,) = asked
        for one in shelf.around[product].candidates:
            yield one.product, partial(picked, one, product, product)
        return
    votes = Votes([shelf.around[product].weights for product in asked], [1.0] * len(asked))
    if len(votes):
        yield from _elected(shelf, asked, (votes,), basket_scores(shelf, votes))
    yield from _by_shares(shelf, asked)


def following(shelf: Shelf, owned: Mapping[str, Owned]) -> Iterator[Coming]:
    """Yield what a customer who has `owned` (latest first) buys next, best first."""
    asked, rounds, scores = next_scores(shelf, owned)
    yield from _elected(shelf, asked, rounds, scores)
    yield from _by_shares(shelf, asked)


def basket_scores(shelf: Shelf, votes: Votes) -> Scores:
    """Score every slot [n] by the weights of a basket's products."""
    scores, trend = votes.totals(len(shelf.slots)), shelf.popularity.trend
    scores[: len(trend)] *= trend
    return scores


def next_scores(
    shelf: Shelf, owned: Mapping[str, Owned]
) -> tuple[Sequence[str], tuple[Votes, Votes], Scores]:
    """Score every slot [n] by what a customer has. Says too of whose votes, and those of owners and of followers."""
    size, newly = len(shelf.slots), shelf.popularity.newly
    scores = np.zeros(size)
    scores[: len(newly)] = RELEVANCE.newly_part * newly
    asked = [
        product
        for product in islice(owned, OWNED_READ)
        if product in shelf.around or product in shelf.counted
    ]
    fresh = _freshness([owned[product] for product in asked])
    owners = Votes([shelf.near(product).later for product in asked], fresh)
    after = Votes(*_after(shelf, asked, fresh))
    scores += RELEVANCE.owners_part * by_its_top(owners.totals(size)) + RELEVANCE.follows_part * by_its_top(
        after.totals(size)
    )
    return asked, (owners, after), scores


def _freshness(owned: Sequence[Owned]) -> list[float]:
    """By how much each counts beside the latest."""
    days = ((owned[0].last_at - one.last_at).total_seconds() / _DAY for one in owned)
    return [2.0 ** (-ago / RELEVANCE.owned_half_life) for ago in days]


def _after(shelf: Shelf, asked: Sequence[str], fresh: Sequence[float]) -> tuple[list[Row], list[float]]:
    """What is bought after each product, per order that could have held it, as of the end of the shop's newest bucket."""
    rows, factors = [EMPTY] * len(asked), [0.0] * len(asked)
    for place, product in enumerate(asked):
        if (counted := shelf.counted.get(product)) is not None:
            fade = 2.0 ** ((counted.until - shelf.until) / FOLLOWS_HALF_LIFE)
            rows[place] = counted.follows
            factors[place] = fresh[place] * fade / (counted.exposure * fade + RELEVANCE.follows_prior)
    return rows, factors


def _elected(shelf: Shelf, asked: Sequence[str], rounds: Sequence[Votes], scores: Scores) -> Iterator[Coming]:
    """Yield products by score. Who voted in the first of `rounds` in which anybody did is what speaks for one."""

    def make(slot: int) -> Pick:
        product = shelf.slots.names[slot]
        voters = next(filter(None, (votes.voters_for(slot) for votes in rounds)), [])
        if not voters:
            return popular(product, shelf.share(product))
        voices = [asked[voter] for voter in voters[:_VOICES]]
        evidence = [shelf.evidence(voice, product) for voice in voices]
        best = next((place for place, one in enumerate(evidence) if one.support), 0)
        return picked(evidence[best], voices[best], *voices)

    for slot in best_first(scores):
        yield shelf.slots.names[slot], partial(make, slot)


def _by_shares(shelf: Shelf, asked: Sequence[str]) -> Iterator[Coming]:
    speaking: dict[str, list[tuple[str, Neighbour]]] = {}
    for product in asked:
        for one in shelf.near(product).candidates:
            speaking.setdefault(one.product, []).append((product, one))

    def weight(product: str) -> float:
        said = speaking[product]
        bought = max(shelf.orders(product), *(one.support for _, one in said))
        return float(sum(one.score for _, one in said) * (bought + DAMPING) ** -ALPHA)

    def make(product: str) -> Pick:
        because, best = max(speaking[product], key=lambda item: (item[1].support, item[1].score))
        return picked(best, because, *(voice for voice, _ in speaking[product]))

    for product in sorted(speaking, key=weight, reverse=True):
        yield product, partial(make, product)
