"""What the peripherals of all chips are written with: tables of registers and their names, and ciphers."""
