"""What goes onto a board: firmware store, inventory, plan, permissions, execution and proof."""
