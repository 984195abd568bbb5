"""Python's cycle collector, set for services that hold thousands of events for a moment.

A batch of events makes tens of thousands of objects, none of them in a cycle. With Python's own thresholds the
collector looks through them dozens of times a batch: a third of the recommender's time went there.
"""

import gc

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 100


def quieten() -> None:
    """Leave alone what lives from the start, and look at new objects only after 50,000 of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
