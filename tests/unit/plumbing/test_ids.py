"""Derived ids depend on exactly the facts that they are derived from."""

from uuid import UUID

import pytest

from shared import ids

ENROLMENT = ids.enrolment_id("skincare", "welcome", "c-1", "o-1")


def test_the_same_facts_give_the_same_ids() -> None:
    assert ids.enrolment_id("skincare", "welcome", "c-1", "o-1") == ENROLMENT
    assert ids.message_id("skincare", "welcome", ENROLMENT, "email", 0) == ids.message_id(
        "skincare", "welcome", ENROLMENT, "email", 0
    )


def test_each_fact_matters() -> None:
    found = {
        ids.message_id("skincare", "welcome", ENROLMENT, "email", 0),
        ids.message_id("fitness", "welcome", ENROLMENT, "email", 0),
        ids.message_id("skincare", "other", ENROLMENT, "email", 0),
        ids.message_id("skincare", "welcome", UUID(int=1), "email", 0),
        ids.message_id("skincare", "welcome", ENROLMENT, "sms", 0),
        ids.message_id("skincare", "welcome", ENROLMENT, "email", 1),
    }
    assert len(found) == 6


def test_parts_do_not_run_into_each_other() -> None:
    assert ids.enrolment_id("a", "b", "cd", "e") != ids.enrolment_id("a", "b", "c", "de")


def test_a_decisions_id_adds_the_attempt() -> None:
    message = ids.message_id("skincare", "welcome", ENROLMENT, "email", 0)
    assert ids.decision_id(message, 1) != ids.decision_id(message, 2)


def test_a_key_splits_into_what_it_was_made_of() -> None:
    assert ids.split_key(ids.partition_key("skincare", "c-1")) == ("skincare", "c-1")


@pytest.mark.parametrize("key", [b"", b"skincare", b"|c", b"skincare|"])
def test_a_key_of_another_form_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="form"):
        ids.split_key(key)
