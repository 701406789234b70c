"""`python -m sensor` is `sensor`."""

from sensor.programs.cli import main

if __name__ == "__main__":
    main()
