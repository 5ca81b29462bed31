"""Names that both ends of the link for boards of other processes use."""

LINK_PATH = "/sim/v1/link"
LINK_TOKEN_HEADER = "X-Sim-Link-Token"
ADMIN_PATH = "/sim/v1/admin"
