"""KEEP: index rows, outcomes, day commit, tiles.parquet and daily GeoJSON."""
