"""Serve an AWS emulator on a loopback port until standard input is closed.

Usage: emulator.py ministack|moto PORT
Whoever started it holds the other end of the pipe: when that process ends, however it ends, so does this one.
"""

import os
import sys
import threading


def leave_with_the_parent():
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def main(kind, port):
    threading.Thread(target=leave_with_the_parent, daemon=True).start()
    if kind == "ministack":
        os.environ.update(BIND_HOST="127.0.0.1", GATEWAY_PORT=port)
        sys.argv = ["ministack"]
        from ministack.app import main as serve
    else:
        sys.argv = ["moto_server", "-H", "127.0.0.1", "-p", port]
        from moto.server import main as serve
    serve()


main(sys.argv[1], sys.argv[2])
