from pathlib import Path

from s2chips_core.config import load_settings
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES
from tests.sandbox_fixtures import SEED, SHIPS_PER_TILE


def test_the_demo_asks_for_what_the_archive_shows() -> None:
    settings = load_settings(Path(__file__).parents[2] / "config/demo.yaml", {})
    assert set(settings.satellite_tracking.tiles) == set(DEMO_TILES)
    assert settings.ais.source == "synthetic"
    assert (settings.ais.synthetic_seed, settings.ais.synthetic_ships_per_tile) == (SEED, SHIPS_PER_TILE)
    ages = [(DEMO_NOW.date() - day).days for day in DEMO_DAYS]
    assert ages[0] > settings.scheduling.give_up_days >= ages[1] >= settings.scheduling.lag_days
    assert max(ages) <= settings.satellite_tracking.backfill_days
    assert all(day >= settings.scheduling.first_day for day in DEMO_DAYS)
