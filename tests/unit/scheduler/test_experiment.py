"""Who is held out."""

from services.scheduler.domain.experiment import held_out, place
from services.scheduler.domain.journey import Holdout


def test_the_share_held_out_is_the_share_asked_for() -> None:
    terms = Holdout(share=0.10)
    held = sum(held_out("skincare", f"c-{each}", terms) for each in range(20_000))
    assert 1_870 < held < 2_130  # three standard deviations of 20,000 draws at 0.1


def test_places_are_spread_evenly() -> None:
    tenths = [0] * 10
    for each in range(20_000):
        tenths[int(place("skincare", f"c-{each}", "salt") * 10)] += 1
    assert all(1_850 < count < 2_150 for count in tenths)


def test_a_place_never_changes() -> None:
    assert round(place("skincare", "c-1", "programme-1"), 6) == 0.943074


def test_another_salt_or_shop_draws_anew() -> None:
    terms, other = Holdout(share=0.5), Holdout(share=0.5, salt="programme-2")
    people = [f"c-{each}" for each in range(2_000)]
    both = sum(held_out("a", each, terms) and held_out("a", each, other) for each in people)
    shops = sum(held_out("a", each, terms) and held_out("b", each, terms) for each in people)
    assert 430 < both < 570
    assert 430 < shops < 570


def test_a_larger_share_keeps_those_who_were_held_out() -> None:
    people = [f"c-{each}" for each in range(2_000)]
    small = {each for each in people if held_out("a", each, Holdout(share=0.10))}
    large = {each for each in people if held_out("a", each, Holdout(share=0.15))}
    assert small < large
