"""What has been seen before."""

import pytest

from services.ingest.domain.dedupe import identity, rising, version_of
from shared.events import CustomerRecorded, InboundOrderRecorded, ProductRecorded
from tests.support.ingest import an_order, envelope


def _event(**attributes: str) -> InboundOrderRecorded:
    return InboundOrderRecorded.model_validate(an_order("shop") | attributes)


def test_an_event_is_the_same_whatever_else_it_says() -> None:
    assert identity(_event()) == identity(_event(time="2026-03-01T00:00:00Z", customerid="c2"))


@pytest.mark.parametrize("other", [{"shopid": "other"}, {"source": "/other"}, {"id": "other"}])
def test_another_shop_source_or_id_is_another_event(other: dict[str, str]) -> None:
    assert identity(_event()) != identity(_event(**other))


def test_parts_of_an_identity_do_not_run_into_each_other() -> None:
    assert identity(_event(source="a", id="bc")) != identity(_event(source="ab", id="c"))


def test_only_states_above_the_known_and_all_before_them_rise() -> None:
    versions = [("a", 2), ("a", 1), ("b", 5), ("a", 2), ("a", 3)]
    assert rising(versions, {"a": 0, "b": 5}) == [True, False, False, False, True]


def test_versions_matter_on_compacted_topics_only() -> None:
    product = {"product_id": "p1", "updated_at": "1970-01-01T00:00:01Z", "name": "Mat"}
    assert version_of(ProductRecorded.model_validate(envelope("shop", "product", product))) == 1_000_000
    customer = envelope("shop", "customer", {"version": 7}, customerid="c1")
    assert version_of(CustomerRecorded.model_validate(customer)) == 7
    assert version_of(_event()) is None
