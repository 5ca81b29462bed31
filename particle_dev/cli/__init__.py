"""Command line: each command parses, calls one library function and renders what it returned."""
