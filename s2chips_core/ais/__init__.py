"""WHO: AIS fixes in (tables, synthetic ships), targets, and where a ship was when its tile was sensed."""
