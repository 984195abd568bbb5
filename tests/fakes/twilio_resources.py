"""Messages as Twilio's API shows them, and which of them a list asks for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tests.fakes.core import Entry


def matches(entry: Entry, query: Mapping[str, str]) -> bool:
    """`DateSent` is a day in UTC; `DateSent<` and `DateSent>` take a day or a time, and include it."""
    at = entry["at"]
    return bool(
        query.get("To", entry["to"]) == entry["to"]
        and query.get("From", entry["from"]) == entry["from"]
        and query.get("DateSent", at)[:10] == at[:10]
        and _cut(at, query.get("DateSent<", at)) <= _time(query.get("DateSent<", at))
        and _cut(at, query.get("DateSent>", at)) >= _time(query.get("DateSent>", at))
    )


def _cut(at: str, like: str) -> datetime:
    """A time, or its day if it is compared with a day."""
    return _time(at[:10] if len(like) == len("2026-03-02") else at)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def resource(account: str, entry: Entry) -> dict[str, Any]:
    """A message as create, fetch and list give it."""
    at = format_datetime(datetime.fromisoformat(entry["at"]))
    uri = f"/2010-04-01/Accounts/{account}/Messages/{entry['sid']}"
    return {
        "sid": entry["sid"],
        "status": entry["status"],
        "to": entry["to"],
        "from": entry["from"],
        "body": entry["body"],
        "num_segments": "1",
        "num_media": "0",
        "direction": "outbound-api",
        "date_created": at,
        "date_updated": at,
        "date_sent": at,
        "price": None,
        "price_unit": "USD",
        "error_code": entry["error"],
        "error_message": None,
        "account_sid": account,
        "messaging_service_sid": None,
        "api_version": "2010-04-01",
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }
