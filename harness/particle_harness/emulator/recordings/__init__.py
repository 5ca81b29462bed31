"""Fixed conversations with a board, and what it answered, as files."""
