"""Which texts stop us, which start us again, and which only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.domain.keywords import START_WORDS, STOP_WORDS, Wish, wish

TWILIO = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
AMAZON = (
    *("ARRET", "CANCEL", "END", "OPT-OUT", "OPTOUT", "QUIT", "REMOVE", "STOP", "TD", "UNSUBSCRIBE"),
    "ARRÊT",
)
RULE = ("stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe")

around = st.text(alphabet=" .!\t\"'*-", max_size=6)


@pytest.mark.parametrize("word", sorted({*TWILIO, *AMAZON, *RULE}))
def test_every_word_that_law_and_providers_name_stops_us(word: str) -> None:
    assert wish(word) is Wish.STOP


@given(word=st.sampled_from(sorted(STOP_WORDS)), before=around, after=around, data=st.data())
def test_case_spaces_and_punctuation_change_nothing(
    word: str, before: str, after: str, data: st.DataObject
) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(word), max_size=len(word)))
    mixed = "".join(letter.upper() if up else letter for letter, up in zip(word, upper, strict=True))
    assert wish(before + mixed + after) is Wish.STOP


@given(word=st.sampled_from(sorted(START_WORDS)), before=around, after=around)
def test_a_word_that_starts_again_is_heard(word: str, before: str, after: str) -> None:
    assert wish(before + word.upper() + after) is Wish.START


@given(text=st.text(max_size=200))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    assert wish(text) in (None, Wish.STOP, Wish.START)


@given(
    text=st.sampled_from(["STOP", "please stop texting me", "Unsubscribe me"]),
    signature=st.text(max_size=80),
)
def test_what_stands_below_a_stop_does_not_undo_it(text: str, signature: str) -> None:
    assert wish(f"{text}\n{signature}") is Wish.STOP


@pytest.mark.parametrize(
    "text",
    [
        "please stop texting me",
        "Stop texting me!!",
        "STOP sending me messages",
        "stop messaging",
        "Please stop",
        "stop please, thanks",
        "Stop now",
        "stop the texts",
        "Can you stop sending these?",
        "could you please stop texting this number",
        "don't text me",
        "Don\u2019t text me again",
        "do not contact me anymore",
        "never text me again",
        "I do not want these messages",
        "i don't want to receive texts",
        "no more texts",
        "No more of these messages please",
        "take me off this list",
        "take me off your list please",
        "remove me from your list",
        "Remove my number",
        "unsubscribe me",
        "I want to unsubscribe",
        "how do I opt out?",
        "opt me out",
        "Opt-Out",
        "S T O P",
        "stop stop stop",
        "I revoke my consent",
        "leave me alone",
        "wrong number",
        "cancel my subscription",
        "quit texting me",
        "stop\n\nSent from my phone",
        "STOP.",
        "\u201cSTOP\u201d",
        "stop it",
        "stop spamming me",
        "Stopp!",
        "Bitte abmelden",
        "bitte keine SMS mehr",
        "Keine Werbung mehr bitte!",
        "H\u00f6ren Sie bitte auf",
        "Bitte nicht mehr schreiben",
        "Schreibt mir nicht mehr",
        "Schicken Sie mir bitte keine SMS",
        "Nehmt mich aus eurem Verteiler",
        "Ich m\u00f6chte mich abmelden",
        "Melden Sie mich bitte ab",
        "Lasst mich in Ruhe",
    ],
)
def test_plain_sentences_that_say_the_same_stop_us(text: str) -> None:
    assert wish(text) is Wish.STOP


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\U0001f44d",
        "yes",
        "Can you stop by?",
        "can you stop by tomorrow at the end of the day",
        "I will stop by the shop",
        "I can't stop using it, love it",
        "Don't stop texting me, I love the offers",
        "please don't stop",
        "does it ever end?",
        "When does the offer end",
        "it arrived in the end",
        "can I cancel my order?",
        "cancel my order please",
        "how do I remove the cap",
        "remove the gift wrap please",
        "is the bus stop near your shop",
        "non-stop fun",
        "quit smoking thanks to you",
        "get the offer started",
        "when can I start using it?",
        "thanks",
        "stopwatch",
        "the weekend",
        "Wann kommt mein Paket?",
        "Ich habe keine Zeit mehr, danke",
        "Das h\u00f6rt sich gut an",
        "Wann endet das Angebot?",
    ],
)
def test_what_only_looks_like_it_changes_nothing(text: str) -> None:
    assert wish(text) is None


@pytest.mark.parametrize("text", ["START", "start please", "Unstop", "opt in", "Start!"])
def test_who_wants_to_hear_again_is_heard(text: str) -> None:
    assert wish(text) is Wish.START
