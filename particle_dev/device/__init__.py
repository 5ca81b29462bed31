"""What one device can do: finding it, following it through modes, control requests, DFU."""
