"""The differential test: the same conversation with a virtual board and with the firmware itself."""
