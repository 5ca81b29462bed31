"""The USB cable: what a chip's controller gives to it, and the host at its other end."""
