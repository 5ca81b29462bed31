"""Answers to control requests, by subject."""
