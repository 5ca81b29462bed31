"""Goes that a station's end cut short have no cycle time and no speed any more: the rows for statistics are made anew
when the last revision has run."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """The tables stay as they are."""
