"""What a person wishes who answers a text: to be left alone, or to be written to again.

A revocation counts "by any reasonable means" (47 CFR 64.1200(a)(10), in force since April 2025), so not only the words
that the rule and the providers name stop us, but plain sentences that say the same. Where a sentence may mean either,
it stops us: a text too few does no harm. The words are those of the rule, of Twilio and of Amazon, and what stands for them in
German, in which templates ship, in French and in Spanish; sentences are understood in English and German.
"""

import re
import unicodedata
from enum import StrEnum


class Wish(StrEnum):
    """What an inbound text asks for."""

    STOP = "stop"
    START = "start"


STOP_WORDS = frozenset(
    {
        *("cancel", "end", "optout", "quit", "revoke", "stop", "unsubscribe"),  # the rule, Twilio and Amazon
        *("stopall", "arret", "remove", "td"),  # Twilio or Amazon
        *(
            "stopp",
            "stoppen",
            "abmelden",
            "abbestellen",
            "austragen",
            "arreter",
            "desabonner",
            "baja",
            "alto",
        ),
    }
)
START_WORDS = frozenset({"start", "unstop", "optin", "resubscribe"})
"""YES is none of them: it answers other questions too. A provider that takes it as consent says so itself."""

_COURTESIES = frozenset(
    {
        *("please", "pls", "plz", "now", "thanks", "thank", "you", "ok", "okay", "hi", "hello", "just", "it"),
        *("this", "bitte", "danke"),
    }
)
_READ = 2000  # characters: more than the longest text that carriers bring
_NEGATED = re.compile(r"\b(?:do not|don t|dont|never|can t|cant|cannot|won t|wont|didn t|not) (?:ever )?$")
_WRITE = "(?:text|message|msg|sms|write|contact|send|spam|bother|e ?mail|notify|harass|bug|call)"
_WRITING = "(?:text|messag|sms|writ|contact|send|spam|bother|e ?mail|notify|harass|bugg|call)[a-z]*ing"
_MESSAGES = r"(?:texts?|messages?|msgs?|sms|spam|promos?|promotions?|offers?|ads?|alerts?|notifications?)"
_ANY = r"(?:(?:all|any|these|those|the|your|you|more|of|further|marketing|promotional|me|with|sending) )*"
_DEMANDS = (
    rf"stop (?:all |ever |always )?{_WRITING}",
    rf"stop {_ANY}{_MESSAGES}",
    r"stop (?:it|that|this|now|immediately|asap|please|already)$",
    rf"(?:quit|cease|end|cancel) (?:{_WRITING}|{_ANY}{_MESSAGES})",
    rf"no more {_ANY}{_MESSAGES}",
    r"(?:take|remove|delete|drop|get) (?:me|us|my (?:phone )?number|this number) (?:off|from|out)",
    r"(?:remove|delete|unsubscribe) (?:me|us|my (?:phone )?number|this number)",
    r"opt (?:me |us |this number )?out",
    r"(?:want|wish|like|need|how do i|how can i|how to|can i|let me) (?:to )?(?:unsubscribe|opt out|stop getting)",
    r"stop (?:getting|receiving) ",
    r"(?:revoke|withdraw) (?:my )?(?:consent|permission)",
    r"(?:leave me alone|lose my number|wrong number)",
    r"(?:cancel|end) (?:my |this |the )?subscription",
    r"stop subscription",
    r"keine? (?:weiteren? |solchen? )?(?:sms|nachrichten?|werbung|mitteilungen|texte?|angebote) mehr",
    r"(?:horen sie|hort|hor) (?:bitte )?(?:damit )?auf",
    r"nicht mehr (?:schreiben|anschreiben|kontaktieren|senden|schicken|texten|belastigen)",
    r"(?:schreibt?|schreiben sie|schickt?|schicken sie|sendet?|senden sie) (?:mir|uns) (?:bitte )?(?:nichts|nicht|keine)",
    r"(?:von|aus) (?:der|dem|ihrer|ihrem|eurer|eurem|deiner|deinem) (?:liste|verteiler)",
    r"(?:mochte|will) (?:mich )?(?:abmelden|austragen)|(?:melden sie|meldet|melde) mich (?:bitte )?ab",
    r"(?:lasst|lassen sie|lass) mich in ruhe",
)
_DEMAND = re.compile(rf"\b(?:{'|'.join(_DEMANDS)})")
_REFUSAL = re.compile(  # here the negation belongs to the demand
    r"\b(?:do not|don t|dont|never|not to|no longer) "
    r"(?:ever |(?:want|wish) (?:you )?(?:to )?(?:get |receive )?)?"
    rf"(?:{_ANY}{_MESSAGES}|{_WRITE} (?:me|us|this number|my number|again|any ?more))"
)


def wish(text: str) -> Wish | None:
    """What `text` asks for; None for all else, such as "can you stop by"."""
    lines = [words for line in text[:_READ].splitlines() if (words := _words(line))]
    if not lines:
        return None
    if any(_is_word(words, STOP_WORDS) for words in (lines[0], " ".join(lines))):
        return Wish.STOP
    if _demands_stop(" ".join(lines)):
        return Wish.STOP
    return Wish.START if _is_word(lines[0], START_WORDS) else None


def _words(line: str) -> str:
    """Lower-case words without accents, with one space between them."""
    plain = unicodedata.normalize("NFKD", line.casefold())
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def _is_word(words: str, wanted: frozenset[str]) -> bool:
    """Whether nothing is said but one of the words, with courtesies, however it is spaced ("opt-out", "S T O P")."""
    said = [word for word in words.split() if word not in _COURTESIES]
    return "".join(said) in wanted or (bool(said) and set(said) <= wanted)


def _demands_stop(words: str) -> bool:
    if _REFUSAL.search(words):
        return True
    return any(not _NEGATED.search(words[: found.start()]) for found in _DEMAND.finditer(words))
