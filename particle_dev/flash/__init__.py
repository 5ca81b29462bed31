"""What goes onto a board: firmware store, inventory, plan, execution and proof."""
