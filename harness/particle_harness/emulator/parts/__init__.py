"""Stand-ins for what sits beside the controller on a board: radio, charger, fuel gauge, serial flash."""
