"""End-to-end connectivity tests."""
