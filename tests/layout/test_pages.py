"""Keys of pages and pictures."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.report(DAY) == "reports/report_20251027.html"


def test_keys_of_the_page_of_the_dataset() -> None:
    assert layout.dataset_page() == "reports/index.html"
    assert layout.dataset_asset("land-0123.js") == "reports/assets/land-0123.js"


def test_the_day_of_pages_and_pictures_is_told_from_their_keys() -> None:
    for key in (layout.report(DAY), layout.view(DAY, "ab"), layout.views_note(DAY)):
        assert layout.day_of_page(key) == DAY
    for key in (
        layout.dataset_page(),
        layout.dataset_asset("a.js"),
        layout.ais_file_report("file-ab"),
        "reports/views/20251327/a.jpg",
    ):
        assert layout.day_of_page(key) is None
