"""The embedded archive: synthetic scenes, a STAC API and a range server on loopback, for demo, tests and benchmarks.

Never on the path of real runs.
"""
