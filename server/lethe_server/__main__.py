"""`python -m lethe_server` is the command `lethe`."""

from lethe_server.cli import main

if __name__ == "__main__":
    main()
