"""Facts about Particle platforms as plain data: board types, module slots, memory maps, releases."""
