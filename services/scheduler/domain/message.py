"""What the dispatcher needs to send a message: where to, which template, all that it may say."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from services.scheduler.domain.case import Case
from services.scheduler.domain.context import Catalogue, Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.money import digits, written
from services.scheduler.domain.quiet import permitted
from services.scheduler.domain.step import Step
from services.scheduler.domain.timing import Due, local_zone
from shared.events import Candidate, Channel, Decision, Incentive, Message, Offer
from shared.events.affinity import Relation

WHY_IT_FITS: dict[Relation, str] = {
    "pair": "Customers who bought {bought} often take it along.",
    "sequence": "Customers who bought {bought} often come back for it.",
    "bundle": "Often bought together with {bought}.",
    "premium": "The premium choice beside {bought}.",
    "warranty": "It protects {bought}.",
    "refill": "The refill for {bought}.",
    "pinned": "Chosen to go with {bought}.",
    "season": "Right for the season.",
    "category": "A natural companion to {bought}.",
    "popular": "A favourite with customers like you.",
    "journey": "It goes well with {bought}.",
    "replenishment": "You may be running low.",
    "upgrade": "The next step up from {bought}.",
    "brand": "From the same collection.",
}


def message(
    state: CustomerState, due: Due, decision: Decision, journey: Journey, context: Context
) -> Message:
    """Return the message that a decision to send asks for, with the keys that docs/journeys/README.md lists.

    It is valid until the step expires, its incentive ends, or a text's permitted hours close.
    Raises ValueError if the customer has no address for the channel; such a step is never decided to be sent.
    """
    case = Case(state, due, journey, decision.candidates, context, decision.decided_at)
    if case.recipient is None or state.profile is None or case.step.template is None:
        problem = f"decision {decision.decision_id} has nobody to send to"
        raise ValueError(problem)
    return Message(
        message_id=decision.message_id,
        decision_id=decision.decision_id,
        channel=decision.channel,
        recipient=case.recipient,
        journey=decision.journey,
        step=decision.step,
        template=case.step.template,
        locale=state.profile.locale,
        time_zone=state.profile.time_zone,
        context=_content(case, decision),
        created_at=decision.decided_at,
        valid_until=_valid_until(case, decision),
        purpose="offer" if decision.offer else "service",
        places=case.places,
    )


def page_offer(
    state: CustomerState, due: Due, decision: Decision, journey: Journey, context: Context
) -> tuple[dict[str, Any], datetime]:
    """Return what the thank-you page shows of a decision to send, and until when it may be accepted.

    Raises ValueError for a step that is not on the page.
    """
    case = Case(state, due, journey, decision.candidates, context, decision.decided_at)
    if case.step.page is None:
        problem = f"decision {decision.decision_id} is not for the thank-you page"
        raise ValueError(problem)
    content = _content(case, decision)
    ends = decision.offer.incentive.expires_at if decision.offer else None
    return {
        **case.step.page.model_dump(),
        "products": content["products"],
        "incentive": content["incentive"] and content["incentive"] | {"expires_at": ends},
        "add_more": content["add_more"],
        "variant": decision.variant,
        "exposures": decision.exposures,
    }, _valid_until(case, decision)


def _valid_until(case: Case, decision: Decision) -> datetime:
    limits = [case.expires_at]
    if decision.offer and decision.offer.incentive.expires_at:
        limits.append(decision.offer.incentive.expires_at)
    if decision.channel is Channel.SMS and (stretch := permitted(case)):
        limits.append(stretch[1])
    return min(limits)


def _content(case: Case, decision: Decision) -> dict[str, Any]:
    purchase = _purchase(case)
    offered = decision.offer.products if decision.offer else ()
    incentive = decision.offer.incentive if decision.offer else None
    zone = local_zone(case.state, case.journey)
    return {
        "first_name": case.state.profile.first_name if case.state.profile else None,
        "shop_name": case.journey.shop_name,
        "order_id": decision.order_id,
        "purchase": purchase,
        "products": _products(offered, case.step, case.context.catalogue, purchase),
        "incentive": _incentive(incentive, zone),
        "add_more": _add_more(decision.offer),
        **_add_more_figures(decision.offer),
        "early_access_until": _early_access_until(incentive, zone),
        "answers": list(case.step.asks),
        "guide": case.step.guide.model_dump() if case.step.guide else None,
        "time_zone": zone.key,
    }


def _purchase(case: Case) -> list[str]:
    """Return the names of what was bought, dearest first, as far as the catalogue knows them."""
    bought = [
        case.context.catalogue.get(product_id) for product_id in (case.order.products if case.order else ())
    ]
    known = [product for product in bought if product]
    known.sort(key=lambda product: (-(product.price or Decimal(0)), product.product_id))
    return [product.name for product in known]


def _products(
    offered: Sequence[Candidate], step: Step, catalogue: Catalogue, purchase: Sequence[str]
) -> list[dict[str, Any]]:
    reasons = step.offer.why if step.offer else {}
    bought = f"your {purchase[0]}" if purchase else "your order"
    found = [(candidate, catalogue.get(candidate.product_id)) for candidate in offered]
    return [
        {
            "product_id": product.product_id,
            "name": product.name,
            "price": None if product.price is None else digits(product.price, product.currency),
            "currency": product.currency,
            "url": product.url,
            "image_url": product.image_url,
            "why": reasons.get(product.category or "")
            or WHY_IT_FITS[candidate.relation].format(bought=bought),
            "relation": None if product.category in reasons else candidate.relation,
        }
        for candidate, product in found
        if product
    ]


def _incentive(incentive: Incentive | None, zone: ZoneInfo) -> dict[str, Any] | None:
    if incentive is None or incentive.kind == "none":
        return None
    return {
        "kind": incentive.kind,
        "value": _plain(incentive.value),
        "currency": incentive.currency,
        "code": incentive.code,
        "text": _terms(incentive),
        "expires_text": _until(incentive.expires_at, zone) if incentive.expires_at else None,
        "expires_at": incentive.expires_at.isoformat() if incentive.expires_at else None,
    }


def _terms(incentive: Incentive) -> str:
    if incentive.kind == "percent":
        return f"{_plain(incentive.value)}% off"
    if incentive.kind == "money":
        return f"{written(incentive.value or Decimal(0), incentive.currency)} off"
    return "early access" if incentive.kind == "early_access" else "free shipping"


def _add_more(offer: Offer | None) -> str | None:
    if offer is None or offer.add_more is None:
        return None
    return written(offer.add_more, offer.currency)


def _add_more_figures(offer: Offer | None) -> dict[str, str | None]:
    """Return the same as figures, for who writes it in another language."""
    lacking = offer is not None and offer.add_more is not None
    return {
        "add_more_amount": str(offer.add_more) if offer and lacking else None,
        "add_more_currency": offer.currency if offer and lacking else None,
    }


def _early_access_until(incentive: Incentive | None, zone: ZoneInfo) -> str | None:
    if incentive is None or incentive.kind != "early_access" or incentive.expires_at is None:
        return None
    return _until(incentive.expires_at, zone)


def _until(moment: datetime, zone: ZoneInfo) -> str:
    """Return when an offer ends, on the recipient's clock; where a day begins it is the evening before's last minute."""
    ends, minute_before = moment.astimezone(zone), (moment - timedelta(minutes=1)).astimezone(zone)
    last = minute_before if minute_before.date() < ends.date() else ends
    return (
        f"{last:%A} {last.day} {last:%B}, {last.hour % 12 or 12}:{last:%M} {'am' if last.hour < 12 else 'pm'}"  # noqa: PLR2004  noon
    )


def _plain(amount: Decimal | None) -> str | None:
    return f"{amount.normalize():f}" if amount is not None else None
