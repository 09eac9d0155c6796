"""Count what is in CloudTrail files without Keytrail and print it as JSON.

Usage: count.py FOLDER
Out: {"files": n, "records": n, "get_secret_value": n}; copies of one call (the same event id or shared event id) count once.
"""

import glob
import gzip
import json
import sys


def main(folder):
    files = records = 0
    calls = set()
    for path in glob.glob(folder + "/**/*.gz", recursive=True):
        files += 1
        with gzip.open(path) as stream:
            content = json.load(stream)
        for record in content.get("Records", []):
            records += 1
            if record["eventName"] == "GetSecretValue":
                calls.add(record.get("sharedEventID") or record["eventID"])
    print(json.dumps({"files": files, "records": records, "get_secret_value": len(calls)}))


main(sys.argv[1])
