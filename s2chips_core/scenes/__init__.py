"""WHAT: providers, STAC search, matching of ships to scenes, and the radiometric offset."""
