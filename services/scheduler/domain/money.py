"""Amounts in a currency's smallest units: exact, in Decimal, rounded where a share of an amount is taken and nowhere else."""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

# ISO 4217, list one of 2024: the currencies whose smallest unit is not a hundredth.
_DIGITS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"), 0
    ),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
# Signs that stand for one currency alone, and that a plain text message can hold.
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}


def smallest(currency: str | None) -> Decimal:
    """Return a currency's smallest unit: 0.01 for most, 1 for JPY, 0.001 for KWD; 0.01 where none is named."""
    return Decimal(1).scaleb(-_DIGITS.get(currency or "", 2))


def rounded(amount: Decimal, currency: str | None) -> Decimal:
    """Return an amount in whole smallest units, a half away from zero."""
    return amount.quantize(smallest(currency), ROUND_HALF_UP)


def rounded_up(amount: Decimal, currency: str | None) -> Decimal:
    """Return the fewest smallest units that are not less than an amount."""
    return amount.quantize(smallest(currency), ROUND_CEILING)


def percent_of(percent: Decimal, amount: Decimal, currency: str | None) -> Decimal:
    """Return a percentage of an amount (15 = 15 %), rounded once, at the end."""
    return rounded(amount * percent / 100, currency)


def digits(amount: Decimal, currency: str | None) -> str:
    """Write an amount with all of its currency's digits: `12.00`, in JPY `1200`."""
    return f"{rounded(amount, currency):f}"


def written(amount: Decimal, currency: str | None) -> str:
    """Write an amount with its currency, so that it can mean one thing only: `$12.00`, `JPY 1200`."""
    number = digits(amount, currency)
    sign = _SIGNS.get(currency or "")
    return f"{sign}{number}" if sign else f"{currency or ''} {number}".strip()
