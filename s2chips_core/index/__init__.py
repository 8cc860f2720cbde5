"""KEEP: index rows, outcomes, day commit, tiles.parquet, daily GeoJSON and the report."""
