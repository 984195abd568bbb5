"""Who is held out."""

from services.scheduler.domain.experiment import place


def test_the_share_held_out_is_the_share_asked_for() -> None:
    held = sum(place("skincare", f"c-{each}", "programme-1") < 0.10 for each in range(20_000))
    assert 1_870 < held < 2_130  # three standard deviations of 20,000 draws at 0.1


def test_places_are_spread_evenly() -> None:
    tenths = [0] * 10
    for each in range(20_000):
        tenths[int(place("skincare", f"c-{each}", "salt") * 10)] += 1
    assert all(1_850 < count < 2_150 for count in tenths)


def test_a_place_never_changes() -> None:
    assert round(place("skincare", "c-1", "programme-1"), 6) == 0.943074


def test_another_salt_or_shop_draws_anew() -> None:
    people = [f"c-{each}" for each in range(2_000)]
    held = {each for each in people if place("a", each, "programme-1") < 0.5}
    assert 430 < sum(place("a", each, "programme-2") < 0.5 for each in held) < 570
    assert 430 < sum(place("b", each, "programme-1") < 0.5 for each in held) < 570
