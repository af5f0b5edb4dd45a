"""How many minor units make a major one: the published figures of the spend model are in major units."""

USUAL_MINOR_UNITS = 100

# ISO 4217's exceptions from two decimals, as far as they are units of daily payments.
MINOR_UNITS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 1),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 1000),
}


def minor_units_per_major(currency: str) -> int:
    """100 fen in a yuan, 1 yen in a yen, 1000 fils in a dinar."""
    return MINOR_UNITS.get(currency, USUAL_MINOR_UNITS)
