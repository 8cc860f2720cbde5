"""CUT: pixel grid, COG reading, gate, identity and split, and the artefacts of a chip."""
