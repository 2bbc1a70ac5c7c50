"""`python -m paragon_stream`, and the start of the command `paragon-stream`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C during the imports, which may take seconds on a slow disk, ends the process without a traceback.
    # `main` then sets the signals.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from paragon_stream.cli.main import main

if __name__ == "__main__":
    main()
