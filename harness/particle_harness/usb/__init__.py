"""USB side of a virtual board: descriptors, control requests, DFU, serial port, pyusb backend."""
