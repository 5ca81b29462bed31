"""Virtual chips behind a debug probe: debug port, access ports, core debug unit and a CPU that runs flash algorithms.

Needs the extra ``emulator`` (Unicorn).
"""
