"""What must hold on every bench, virtual or real. Collected by hil/, never by the unit tests."""
