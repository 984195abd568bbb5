"""When a customer is likely to need a product again: their own intervals, as far as there are any, shrunk to the product's.

The interval is a credibility estimate (Bühlmann, Experience rating and credibility, ASTIN Bulletin 4, 1967): of n own
intervals with mean m, and the product's median M, it is (n m + k M) / (n + k), with k the variance of one customer's
intervals over the variance between customers. Counters cannot tell the two apart, so k is fixed: where intervals are
Erlang-2, as for packaged goods (Chatfield and Goodhardt, Journal of the American Statistical Association 68, 1973), and
customers' means vary by half to three fifths of their mean, (1 + c^2) / (2 c^2) = 2.5 to 1.9.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from shared.events.affinity import Timing

PRIOR_WEIGHT = 2.0
"""The product's median weighs as much as so many intervals of the customer's own."""
LEAST_SHARE = 0.25
"""Of a product that fewer buy again within the window, that some do says nothing about a customer: a durable."""
LEAST_OWN = 3
"""Own intervals that are enough where the product says nothing."""

_QUARTER = 0.6745
"""Quartiles of a normal distribution, in standard deviations."""


class ReorderPoint(NamedTuple):
    """In days since 1970-01-01: when half are expected to have bought again; a quarter by `low`, three by `high`."""

    day: float
    low: float
    high: float


def reorder_at(last_day: float, own_gaps: Sequence[float], repurchase: Timing | None) -> ReorderPoint | None:
    """When a customer who bought the product last on `last_day`, after `own_gaps` days each time, is to buy it again.

    `repurchase` is the product's; its support was checked where it was made. None where neither says enough.
    """
    own = [gap for gap in own_gaps if gap > 0]
    if repurchase is not None and repurchase.share >= LEAST_SHARE and repurchase.days[1] > 0:
        return _shrunken(last_day, own, repurchase)
    if len(own) >= LEAST_OWN:
        return _alone(last_day, own)
    return None


def _shrunken(last_day: float, own: Sequence[float], repurchase: Timing) -> ReorderPoint:
    first, median, third = repurchase.days
    number = len(own)
    interval = (sum(own) + PRIOR_WEIGHT * median) / (number + PRIOR_WEIGHT)
    # The product's spread is within and between customers; the more is known of this one, the less of the latter is left.
    doubt = PRIOR_WEIGHT / (PRIOR_WEIGHT + number)
    spread = sqrt((PRIOR_WEIGHT + doubt) / (PRIOR_WEIGHT + 1))
    return ReorderPoint(
        last_day + interval,
        last_day + interval * (first / median) ** spread,
        last_day + interval * (third / median) ** spread,
    )


def _alone(last_day: float, own: Sequence[float]) -> ReorderPoint:
    interval = fmean(own)
    half = min(_QUARTER * stdev(own) * sqrt(1 + 1 / len(own)), interval)
    return ReorderPoint(last_day + interval, last_day + interval - half, last_day + interval + half)
