"""What is said to a board over USB: single transfers, and random conversations made of them, from a seed."""
