"""The flashing station: benches, recipes, the procedure of one unit, journal, records and report."""
