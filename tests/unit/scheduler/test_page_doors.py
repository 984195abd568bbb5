"""Who may ask for an offer, with what, and what a faulty question is told."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from services.scheduler.page.doors import Doors, Entry, Sent, doors_for
from services.scheduler.page.question import Refused, proof, question_of
from shared.errors import SettingsError
from shared.settings import Settings
from tests.support.paging import asked

PK, SK = "pk_skincare_1", "sk_skincare_1"
BODY = b'{"order_id": "o-1"}'


def doors(publishable: str = f"skincare:{PK}", secret: str = "") -> Doors:
    return doors_for(Settings(thank_you_keys=publishable, thank_you_secret_keys=SecretStr(secret)))


def refused(entry: Doors, shop: str | None, sent: Sent) -> tuple[int, list[str]]:
    with pytest.raises(Refused) as found:
        entry.enter(shop, sent, BODY)
    return found.value.status, [fault.reason.value for fault in found.value.faults]


def test_a_key_says_which_shop_it_is() -> None:
    assert doors().enter(None, Sent(None, PK, ""), BODY) == Entry("skincare", trusted=False)
    assert doors().enter("skincare", Sent(PK, "", ""), BODY) == Entry("skincare", trusted=False)


@pytest.mark.parametrize(("shop", "key"), [("fitness", PK), (None, ""), ("skincare", "pk_skincare_2")])
def test_no_other_key_opens_a_shop(shop: str | None, key: str) -> None:
    assert refused(doors(), shop, Sent(None, key, "")) == (403, ["wrong_api_key"])


def test_a_shops_own_server_is_told_more() -> None:
    entry = doors(secret=f"skincare:{SK}").enter(None, Sent(SK, "", ""), BODY)
    assert entry == Entry("skincare", trusted=True)


def test_a_secret_key_must_not_stand_in_a_url() -> None:
    assert refused(doors(secret=f"skincare:{SK}"), None, Sent(None, SK, "")) == (403, ["wrong_api_key"])


def test_where_a_shop_has_a_secret_key_its_pages_prove_their_orders() -> None:
    entry = doors(secret=f"skincare:{SK}")
    right = proof(SK.encode(), BODY)
    assert entry.enter(None, Sent(None, PK, right), BODY) == Entry("skincare", trusted=False)
    for wrong in ("", right[:-1], proof(b"another", BODY), proof(SK.encode(), b"{}"), "\udcff"):
        assert refused(entry, None, Sent(None, PK, wrong)) == (403, ["proof_needed"])


def test_shops_whose_pages_prove_nothing_are_known() -> None:
    assert doors(f"skincare:{PK},fitness:pk_fitness_1", f"skincare:{SK}").unproven == ["fitness"]


def test_while_keys_are_changed_either_proves() -> None:
    entry = doors(secret=f"skincare:{SK},skincare:sk_skincare_2")
    for key in (SK, "sk_skincare_2"):
        assert entry.enter(None, Sent(None, PK, proof(key.encode(), BODY)), BODY).shop == "skincare"


def test_without_keys_everybody_on_this_machine_may_ask_and_names_the_shop() -> None:
    free = doors(publishable="")
    assert free.enter("skincare", Sent(None, "", ""), BODY) == Entry("skincare", trusted=True)
    assert refused(free, None, Sent(None, "", "")) == (422, ["bad_field"])


def test_without_keys_others_than_this_machine_cannot_be_served() -> None:
    with pytest.raises(SettingsError, match="give each shop a key"):
        doors_for(Settings(http_host="0.0.0.0"))  # noqa: S104  that is what is refused


def test_one_key_cannot_be_of_both_classes() -> None:
    with pytest.raises(SettingsError, match="stands in pages; make another"):
        doors(secret=f"skincare:{PK}")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"order_id": ""}, "order_id"),
        ({"total": "-1"}, "total"),
        ({"currency": "usd"}, "currency"),
        ({"lines": []}, "lines"),
        ({"lines": [{"product_id": "a", "quantity": 0, "unit_price": "1"}]}, "lines.0.quantity"),
        (
            {"lines": [{"product_id": "a", "quantity": 1, "unit_price": "1", "currency": "EUR"}]},
            "lines",
        ),
        ({"customer_id": None}, "customer_id"),
        ({"guest": {"email": "ada@example.com"}}, "customer_id"),
        ({"customer_id": None, "guest": {"email": "ada"}}, "guest.email"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_field_is_named_without_its_value(changes: Mapping[str, Any], path: str) -> None:
    with pytest.raises(Refused) as found:
        question_of(json.dumps(asked(**changes)).encode())
    assert found.value.status == 422
    assert {fault.reason.value for fault in found.value.faults} == {"bad_field"}
    assert path in {fault.path for fault in found.value.faults}
    assert all(fault.detail for fault in found.value.faults)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    with pytest.raises(Refused) as found:
        question_of(body)
    assert (found.value.status, found.value.faults[0].reason.value) == (400, "bad_json")
