"""``python -m particle_dev``."""

from particle_dev.cli.main import main

if __name__ == "__main__":
    main()
