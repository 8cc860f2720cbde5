"""Ship types: what AIS's numbers mean. ITU-R M.1371-5, table 53."""

_SINGLE = {
    30: "Fishing",
    31: "Towing",
    32: "Towing",
    33: "Dredging",
    34: "Diving",
    35: "Military",
    36: "Sailing",
    37: "Pleasure Craft",
    50: "Pilot",
    51: "Search and Rescue",
    52: "Tug",
    53: "Port Tender",
    54: "Anti-pollution",
    55: "Law Enforcement",
    58: "Medical",
}
_TENS = {2: "Wing In Ground", 4: "High Speed Craft", 6: "Passenger", 7: "Cargo", 8: "Tanker", 9: "Other"}


def ship_type_name(code: int) -> str | None:
    """The name of a ship type number 0-99; none for 0 (not available) and for numbers without a meaning.

    >>> ship_type_name(70), ship_type_name(52), ship_type_name(0)
    ('Cargo', 'Tug', None)
    """
    return _SINGLE.get(code) or _TENS.get(code // 10)


def ship_type_names() -> frozenset[str]:
    """Every name that `ship_type_name` gives."""
    return frozenset({*_SINGLE.values(), *_TENS.values()})
