"""`python -m paragon_stream`."""

from paragon_stream.cli.main import main

if __name__ == "__main__":
    main()
