"""Tests on boards of a bench, virtual or real: what the pytest plugin ``particle_harness.plugin`` is made of.

A user of the host library, as the command line is; virtual boards never import it.
"""
