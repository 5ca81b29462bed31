"""The Cortex-M core: instructions, exceptions, faults, virtual time, a debugger, and words for what went wrong."""
