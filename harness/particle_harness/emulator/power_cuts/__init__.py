"""The power-cut test: power lost at every flash operation of a piece of work, and what becomes of the board."""
