"""Keys of what people look at: pages of days and of the whole dataset, and sheets of pictures.

All of it can be made again from what is kept.
"""

import re
from datetime import date

from s2chips_core.layout.names import day_of, safe, ymd


def reports_folder() -> str:
    """All pages."""
    return "reports"


def report(day: date) -> str:
    """The page of a day."""
    return f"reports/report_{ymd(day)}.html"


def day_of_page(key: str) -> date | None:
    """The day of a `report`, or of something in a `views_folder`; none for any other key below `reports_folder`."""
    found = re.fullmatch(r"reports/(?:report_([^/]+)\.html|views/([^/]+)/[^/]+)", key)
    return day_of(found[1] or found[2]) if found else None


def dataset_page() -> str:
    """The page of the whole dataset."""
    return "reports/index.html"


def dataset_assets() -> str:
    """The scripts and data that the page of the dataset loads when they are looked at."""
    return "reports/assets"


def dataset_asset(name: str) -> str:
    """One of them; its name holds a hash of its bytes."""
    return f"{dataset_assets()}/{safe(name)}"


def views_folder(scene_day: date) -> str:
    """The sheets of pictures of all chips sensed on a day."""
    return f"reports/views/{ymd(scene_day)}"


def view(scene_day: date, chip_id: str) -> str:
    """The sheet of pictures of one chip."""
    return f"{views_folder(scene_day)}/{safe(chip_id)}.jpg"


def views_note(scene_day: date) -> str:
    """What is where on the sheets of a day, and which chips they were made from."""
    return f"{views_folder(scene_day)}/views.json"
