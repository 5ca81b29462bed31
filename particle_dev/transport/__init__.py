"""Links: the smallest things a medium can do. One third-party library per file."""
