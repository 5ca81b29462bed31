"""How a station is told to end."""


class StopAtOnce(KeyboardInterrupt):
    """The process is to end: its manager says so, or its terminal is gone. Units in work stop at their next
    block, where the first Ctrl-C would let them finish."""
