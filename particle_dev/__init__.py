"""particle-dev: takes Particle devices from the tray to the customer.

Five nouns: a **Platform** (what a board type is), a **Link** (what a medium can do), a **Session** (one capability
over one link), a **Plan** (which modules go where, made without a device) and a **Record** (what happened to a unit).
"""

__version__ = "0.1.0"
