"""WHEN: tile grid and overpass plan. What is imaged when, and from when to when AIS is recorded."""
