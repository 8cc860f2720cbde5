"""LOOK: the pages that people open in a browser: one for each day, and the pictures of its chips.

They are derived: made from what `index` keeps, at any time again, and read by nothing else.
"""
