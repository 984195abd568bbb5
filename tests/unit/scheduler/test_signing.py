"""Codes that we make: the same for the same message, another for any other, and told from forgeries."""

import re
from uuid import UUID, uuid5

import pytest

from services.scheduler.domain.signing import as_made, made, signed

SECRET = b"a secret"
MESSAGE = UUID("5f0b9c86-6f72-5f0b-9c86-6f7264657277")


def test_a_message_always_has_the_same_code_in_groups_that_people_can_read() -> None:
    code = made(SECRET, "skincare", "SPRING", MESSAGE)
    assert code == made(SECRET, "skincare", "SPRING", MESSAGE)
    assert re.fullmatch(r"SPRING(-[0-9A-HJKMNP-TV-Z]{4}){3}", code)


def test_other_messages_shops_prefixes_secrets_and_turns_have_other_codes() -> None:
    codes = {
        made(SECRET, "skincare", "SPRING", MESSAGE),
        made(SECRET, "skincare", "SPRING", MESSAGE, 1),
        made(SECRET, "skincare", "AUTUMN", MESSAGE),
        made(SECRET, "fitness", "SPRING", MESSAGE),
        made(b"another", "skincare", "SPRING", MESSAGE),
    }
    rest = {code.partition("-")[2] for code in codes}
    assert len(rest) == 5


def test_a_hundred_thousand_codes_are_all_different() -> None:
    codes = {made(SECRET, "skincare", "S1", uuid5(MESSAGE, str(number))) for number in range(100_000)}
    assert len(codes) == 100_000


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_a_signature_is_ours_whichever_turn_it_took(turn: int) -> None:
    assert signed(SECRET, "skincare", made(SECRET, "skincare", "SPRING", MESSAGE, turn), MESSAGE)


def test_a_forged_code_is_not_ours() -> None:
    code = made(SECRET, "skincare", "SPRING", MESSAGE)
    last = "0" if code[-1] != "0" else "1"
    assert not signed(SECRET, "skincare", code[:-1] + last, MESSAGE)
    assert not signed(SECRET, "fitness", code, MESSAGE)
    assert not signed(b"another", "skincare", code, MESSAGE)
    assert not signed(SECRET, "skincare", code, uuid5(MESSAGE, "other"))
    assert not signed(SECRET, "skincare", "", MESSAGE)


def test_a_code_may_be_typed_as_people_do() -> None:
    assert as_made(" spring-o1il-abcd-zzzz ") == "SPRING-0111-ABCD-ZZZZ"
    assert as_made("OIL-abcd") == "OIL-ABCD"
