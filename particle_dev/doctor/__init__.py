"""Whether this computer can work with boards and probes, and what to type where it cannot."""
