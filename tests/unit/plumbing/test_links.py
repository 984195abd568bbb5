"""Links that carry what they are about: nobody but us makes them, and none leads anywhere that we did not write."""

import string
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.links import CODE_LENGTH, Followed, Links, Sent, leads_out

LINKS = Links("https://go.example.com/", "secret", "https://s.example.com")
SENT = Sent(UUID("018f2f9e-5b1c-7c3e-8a54-2f1d3c4b5a69"), "skincare", "c-10482", "email")
ENDS = datetime(2026, 4, 1, tzinfo=UTC)
TARGET = "https://dewy.example.com/products/rose-water-toner?variant=43219876543210"


def token_of(target: str = TARGET) -> str:
    made = LINKS.redirect(target, SENT, ENDS)
    assert made is not None
    return made.removeprefix("https://go.example.com/r/")


@given(
    st.text(string.ascii_letters + string.digits + "/?&=%-._~#", max_size=300),
    st.text("abc-äß漢", min_size=1, max_size=40),
    st.booleans(),
)
def test_what_a_link_says_comes_back(path: str, customer: str, image: bool) -> None:  # noqa: FBT001  Hypothesis gives it
    sent = Sent(SENT.message_id, SENT.shop, customer, SENT.channel)
    target = f"https://shop.example.com/{path}"
    made = LINKS.redirect(target, sent, ENDS, image=image)
    assert made is not None
    assert LINKS.followed(made.rpartition("/r/")[2]) == Followed(target, sent, ENDS, image)


def test_a_link_is_short_and_the_same_each_time() -> None:
    first, again = LINKS.redirect(TARGET, SENT, ENDS), LINKS.redirect(TARGET, SENT, ENDS)
    assert first is not None
    assert first == again
    assert len(first) < 260
    longer = LINKS.redirect(
        f"{TARGET}&utm_source=orderwake&utm_medium=email&utm_campaign=c&ref=abcdefgh", SENT, ENDS
    )
    assert longer is not None
    assert len(longer) < 400


@given(st.data())
def test_a_link_that_was_changed_anywhere_says_nothing(data: st.DataObject) -> None:
    token = token_of()
    place = data.draw(st.integers(0, len(token) - 2))  # the last letter has bits that say nothing
    letter = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_"))
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or LINKS.followed(changed) is None


@pytest.mark.parametrize("token", ["", "A", "é" * 40, "A" * 27, "A" * 400, "A" * 5000, "....", "Zm9v\n"])
def test_what_is_no_token_says_nothing(token: str) -> None:
    assert LINKS.followed(token) is None


def test_another_secret_reads_nothing_and_gives_other_codes() -> None:
    other = Links("https://go.example.com", "another")
    assert other.followed(token_of()) is None
    assert other.code(SENT.message_id) != LINKS.code(SENT.message_id)


@pytest.mark.parametrize(
    "target",
    [
        "http://shop.example.com/p",
        "//shop.example.com/p",
        "/p",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:///p",
        "https://good.example.com@evil.example.net/",
        "https://good.example.com\\@evil.example.net/",
        "https://shop.example.com/\r\nSet-Cookie: a=b",
        "https://shop.example.com/a b",
        "https://shop.example.com:99999/",
        "https://shöp.example.com/",
        "",
    ],
)
def test_no_link_leads_where_it_must_not(target: str) -> None:
    assert not leads_out(target)
    assert LINKS.redirect(target, SENT, ENDS) is None


@pytest.mark.parametrize(
    "target", [TARGET, "http://127.0.0.1:8000/p", "http://localhost/p", "https://[::1]/p"]
)
def test_shops_and_this_very_machine_may_be_led_to(target: str) -> None:
    assert leads_out(target)


def test_codes_are_letters_and_digits_and_differ_by_message_and_number() -> None:
    codes = {LINKS.code(UUID(int=number), link) for number in range(200) for link in range(2)}
    assert len(codes) == 400
    assert all(len(code) == CODE_LENGTH and code.isalnum() and code.isascii() for code in codes)
    assert LINKS.short(LINKS.code(UUID(int=1))) == f"https://s.example.com/s/{LINKS.code(UUID(int=1))}"
