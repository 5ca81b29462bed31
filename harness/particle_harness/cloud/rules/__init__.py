"""Pure decisions of the simulated cloud: metering, membership, SIMs, firmware."""
