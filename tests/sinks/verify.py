"""Check the signature of a webhook's body, written from docs/SINKS.md alone.

Usage: verify.py KEY TIMESTAMP DELIVERY_ID BODY SIGNATURE
"""

import hashlib
import hmac
import sys

key, timestamp, delivery_id, body, signature = (argument.encode() for argument in sys.argv[1:])
expected = b"v1=" + hmac.new(key, timestamp + b"." + delivery_id + b"." + body, hashlib.sha256).hexdigest().encode()
print("valid" if hmac.compare_digest(expected, signature) else "forged")
