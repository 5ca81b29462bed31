"""A virtual ESP32: its flash, its ROM loader, and the ports that reach it. Device side of ``particle-dev esp``."""
