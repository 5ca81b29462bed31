"""Virtual Particle boards: same seams as real ones, own state machines, own knowledge of the truth."""
