"""The nRF52840 and what a Particle board has around it, as far as Particle's firmware uses them.

Sections named are those of Nordic's nRF52840 Product Specification v1.7.
"""
