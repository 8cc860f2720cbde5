"""Orchestration with Dagster: definitions, partitions, resources, assets, checks, jobs and the command line.

Thin on purpose: what a stage does lives in `s2chips_core`. Here is when it runs, with what settings, and what is shown.
"""
