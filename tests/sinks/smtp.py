"""Serve SMTP on a loopback port until standard input is closed; the first message is deferred.

Usage: smtp.py PORT FILE
Each message becomes one JSON line of the file: recipients, headers, text.
"""

import email
import email.policy
import json
import os
import sys

from aiosmtpd.controller import Controller


class Handler:
    def __init__(self, path):
        self.path = path
        self.seen = 0

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(preferencelist=("plain",))
        line = {
            "recipients": envelope.rcpt_tos,
            "subject": message["subject"],
            "bcc": message["bcc"],
            "message_id": message["message-id"],
            "text": body.get_content() if body else None,
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.seen += 1
        return "451 4.3.0 come back later" if self.seen == 1 else "250 taken"


controller = Controller(Handler(sys.argv[2]), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
while sys.stdin.buffer.read(1):
    pass
os._exit(0)
