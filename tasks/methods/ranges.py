"""Hold settings to their ranges, with an error that names the setting, the value and what it must be."""

# For pydantic, where such records stand in a section of params: no other keys; records made of mappings.
CLOSED = {"extra": "forbid", "strict": False}


def check(settings: object, name: str, low: float, high: float = float("inf"), *, open_start: bool = False, open_end: bool = False) -> None:
    """Raise ValueError unless the field lies between low and high; an open end is left out itself."""
    value = getattr(settings, name)
    if not (low < value if open_start else low <= value) or not (value < high if open_end else value <= high):
        end = f" {'to below' if open_end else 'to'} {high:g}" if high < float("inf") else ""
        span = f"{'above' if open_start else 'from'} {low:g}{end}"
        raise ValueError(f"{name} of {settings.method} is {value!r}: it must be a number {span}")  # type: ignore[attr-defined]


def check_split(settings: object) -> None:
    """Hold what every loss needs that splits its rows by small loss, again each epoch, and remembers what was predicted."""
    check(settings, "warmup_epochs", 1)  # losses of one epoch are the least to split
    check(settings, "min_clean", 0, 1)
    check(settings, "min_separation", 0)
    check(settings, "momentum", 0, 1, open_end=True)
