#!/usr/bin/env python3
"""Measure `keytrail run` against an emulator of S3 and SQS, with the emulator's own ceiling beside it.

Usage: python3 benches/worker.py [--keytrail target/release/keytrail] [--emulator fauxqs|ministack]
       [--objects N] [--reads N] [--rate N] [--seconds N] [--work FOLDER] [--json FILE]

What it does, in this order, on one machine that should do nothing else:
1. ceiling: bare processes receive, get and delete everything, without reading a byte of it;
2. backlog: `keytrail run` drains the same objects into a fresh lake; objects/s, records/s, CPU seconds, peak memory, commits;
3. steady: so many objects per second for a while, once the rules are open; from sending a notification until its row is
   committed, and until its alert is: p50 and p99. Every event reads from a network that the policy does not allow, by a
   reader of its own, so that each raises one alert. When rows and alerts were committed is taken from the worker's log.

fauxqs (npm, Node 20) is the faster emulator; it ignores If-None-Match, so the lake is a local folder in every run. Both
emulators are installed below --work on first use. Nothing is downloaded otherwise, and nothing leaves the loopback device.
"""

import argparse
import datetime
import gzip
import http.client
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUCKET = "trail-bucket"
ACCOUNT = "111122223333"
REGION = "us-east-1"
ALLOWED = "10.0.0.0/8"

NODE = """
import { buildApp } from "fauxqs";
const app = buildApp({ logger: false });
await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
"""


class Client:
    """One keep-alive connection to the emulator; not for use by several threads."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method, path, body=b"", fields=()):
        service = "sqs" if any(name == "X-Amz-Target" for name, _ in fields) else "s3"
        scope = f"test/20260101/{REGION}/{service}/aws4_request"
        headers = dict(fields, Authorization=f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00")
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        return response, content

    def queue(self, operation, **arguments):
        fields = [("X-Amz-Target", f"AmazonSQS.{operation}"), ("Content-Type", "application/x-amz-json-1.0")]
        _, content = self.ask("POST", "/", json.dumps(arguments).encode(), fields)
        return json.loads(content or b"{}")

    def put(self, key, content):
        response, _ = self.ask("PUT", f"/{BUCKET}/{key}", content)
        return response.getheader("ETag", "").strip('"')


class Emulator:
    """A process that leaves when its standard input is closed."""

    def __init__(self, kind, work):
        self.port = free_port()
        command = fauxqs(work) if kind == "fauxqs" else ministack(work)
        quiet = dict(stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen(command + [str(self.port)], **quiet)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client = Client(self.port)
                self.client.ask("PUT", f"/{BUCKET}")
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{kind} does not answer")
                time.sleep(0.05)
        # Its host may not resolve: only the endpoint is ever connected to.
        self.queue_url = self.client.queue("CreateQueue", QueueName="notifications")["QueueUrl"]

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def send(self, bodies):
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            answer = self.client.queue("SendMessageBatch", QueueUrl=self.queue_url, Entries=entries)
            assert not answer.get("Failed"), answer

    def left(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client.queue("GetQueueAttributes", QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fauxqs(work):
    folder = work / "fauxqs"
    if not (folder / "node_modules/fauxqs").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "fauxqs@1.9.2"], cwd=folder, check=True)
    (folder / "start.mjs").write_text(NODE)
    return ["node", str(folder / "start.mjs")]


def ministack(work):
    python = work / "ministack/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(work / "ministack")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "ministack==1.5.33"], check=True)
    return [str(python), str(ROOT / "tests/harness/emulator.py"), "ministack"]


def record(at, number, reader, secret):
    """One read of one secret from a network that the policy does not allow."""
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret}-AbCdEf"
    issuer = {"type": "Role", "principalId": f"AROA{reader:017}", "arn": f"arn:aws:iam::{ACCOUNT}:role/r{reader}",
              "accountId": ACCOUNT, "userName": f"r{reader}"}
    identity = {"type": "AssumedRole", "principalId": f"AROA{reader:017}:s", "accountId": ACCOUNT,
                "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/r{reader}/s", "accessKeyId": f"ASIA{reader:016}",
                "sessionContext": {"sessionIssuer": issuer, "attributes": {"creationDate": at, "mfaAuthenticated": "false"}}}
    return {"eventVersion": "1.11", "userIdentity": identity, "eventTime": at, "eventSource": "secretsmanager.amazonaws.com",
            "eventName": "GetSecretValue", "awsRegion": REGION, "sourceIPAddress": "203.0.113.9", "userAgent": "bench",
            "requestParameters": {"secretId": arn}, "responseElements": None, "requestID": str(number),
            "eventID": str(uuid.UUID(int=number, version=4)), "readOnly": True, "eventType": "AwsApiCall",
            "managementEvent": True, "recipientAccountId": ACCOUNT, "eventCategory": "Management"}


def unrelated(at, number):
    return {"eventVersion": "1.11", "userIdentity": {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"},
            "eventTime": at, "eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances", "awsRegion": REGION,
            "sourceIPAddress": "autoscaling.amazonaws.com", "userAgent": "autoscaling.amazonaws.com",
            "requestParameters": {"filterSet": {}}, "responseElements": None, "requestID": str(number),
            "eventID": str(uuid.UUID(int=number, version=4)), "readOnly": True, "eventType": "AwsApiCall",
            "managementEvent": True, "recipientAccountId": ACCOUNT, "eventCategory": "Management"}


def packed(records):
    return gzip.compress(json.dumps({"Records": records}).encode(), 1)


def key_of(at, number):
    day, minute = at[:10].replace("-", "/"), at[:16].replace("-", "").replace(":", "")
    return f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{day}/{ACCOUNT}_CloudTrail_{REGION}_{minute}Z_{number:016}.json.gz"


def message(key, etag, size):
    item = {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventName": "ObjectCreated:Put",
            "eventTime": "2026-11-01T00:00:00.000Z",
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": size, "eTag": etag, "sequencer": "00"}}}
    return json.dumps({"Records": [item]})


def stamp(seconds_ago=0):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def fill(emulator, objects, reads):
    """Puts the backlog and returns its messages: half of the records are about secrets, of 200 readers and 50 secrets."""
    chance = random.Random(7)
    bodies = []
    for number in range(objects):
        at = stamp(86_400 * 3 + chance.randrange(86_400 * 20))
        first = number * reads * 2 + 1
        records = []
        for n in range(reads):
            records.append(record(at, first + 2 * n, chance.randrange(200), f"service/{chance.randrange(50)}"))
            records.append(unrelated(at, first + 2 * n + 1))
        key, content = key_of(at, number), packed(records)
        bodies.append(message(key, emulator.client.put(key, content), len(content)))
    return bodies


class Bare:
    """A connection that asks for several objects at once and skips the answers: the client must not be what is measured."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb", 1 << 16)

    def get_all(self, keys):
        ask = "GET /{}/{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self.socket.sendall("".join(ask.format(BUCKET, key) for key in keys).encode())
        for key in keys:
            if b" 200 " not in self.stream.readline():
                raise RuntimeError(f"GET {key}")
            length = 0
            while (line := self.stream.readline()) != b"\r\n":
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            self.stream.read(length)


def drain_bare(port, queue_url, done):
    client, bare = Client(port), Bare(port)
    while True:
        got = client.queue("ReceiveMessage", QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        messages = got.get("Messages") or []
        if not messages:
            return
        bare.get_all([json.loads(one["Body"])["Records"][0]["s3"]["object"]["key"] for one in messages])
        entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
        client.queue("DeleteMessageBatch", QueueUrl=queue_url, Entries=entries)
        with done.get_lock():
            done.value += len(messages)


def ceiling(emulator, objects, processes):
    done = multiprocessing.Value("L", 0)
    arguments = (emulator.port, emulator.queue_url, done)
    started = time.monotonic()
    running = [multiprocessing.Process(target=drain_bare, args=arguments) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert done.value == objects, (done.value, objects)
    return objects / (time.monotonic() - started)


class Worker:
    """`keytrail run` on a fresh lake."""

    def __init__(self, program, emulator, work, name):
        self.program, self.lake = program, work / f"lake-{name}"
        shutil.rmtree(self.lake, ignore_errors=True)
        self.port = free_port()
        self.config = work / f"{name}.toml"
        self.config.write_text(
            f'[aws]\nregion = "{REGION}"\nendpoint_url = "{emulator.url()}"\n\n[queue]\nurl = "{emulator.queue_url}"\n\n'
            f'[http]\nlisten = "127.0.0.1:{self.port}"\n\n[log]\nformat = "json"\n\n'
            f'[[policy.network]]\ncidrs = ["{ALLOWED}"]\n'
        )
        environment = dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", KEYTRAIL_LAKE=str(self.lake),
                           KEYTRAIL_CONFIG=str(self.config), AWS_EC2_METADATA_DISABLED="true")
        self.environment = environment
        self.log = open(work / f"{name}.log", "w", encoding="utf-8")
        self.process = subprocess.Popen([program, "run"], env=environment, stdout=self.log, stderr=self.log)

    def peak_memory(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024

    def cpu(self):
        parts = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_ready(self):
        while True:
            self.check()
            try:
                Client(self.port).ask("GET", "/readyz")
                return
            except (OSError, RuntimeError):
                time.sleep(0.1)

    def told(self, message):
        """The log's lines with this message, each with its moment."""
        for line in pathlib.Path(self.log.name).read_text(encoding="utf-8").splitlines():
            if f'"message":"{message}"' in line:
                told = json.loads(line)
                moment = datetime.datetime.fromisoformat(told["timestamp"].replace("Z", "+00:00"))
                yield moment.timestamp(), told

    def alerts_at(self):
        """The moment at which each alert was committed, in the order of their events."""
        return [at for at, told in self.told("judged") for _ in range(told["raised"])]

    def check(self):
        if self.process.poll() is not None:
            sys.exit(f"the worker ended by itself: see {self.log.name}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit(f"the worker did not end in order: see {self.log.name}")

    def rows(self, sql):
        command = [self.program, "query", "--format", "json", "-e", sql]
        return json.loads(subprocess.run(command, env=self.environment, check=True, capture_output=True).stdout)


def backlog(program, emulator, work, objects, reads):
    worker = Worker(program, emulator, work, "backlog")
    started = time.monotonic()
    while emulator.left():
        worker.check()
        time.sleep(0.05)
    took = time.monotonic() - started
    result = {"objects_per_s": objects / took, "records_per_s": objects * reads * 2 / took, "seconds": took,
              "cpu_seconds": worker.cpu(), "peak_mib": worker.peak_memory()}
    worker.stop()
    counted = worker.rows("SELECT count(*) AS n, count(DISTINCT ledger_version) AS commits FROM objects WHERE outcome = 'committed'")
    assert counted[0]["n"] == objects, counted
    assert worker.rows("SELECT count(*) AS n FROM access_events")[0]["n"] == objects * reads
    return dict(result, commits=counted[0]["commits"])


def steady(program, emulator, work, rate, seconds):
    worker = Worker(program, emulator, work, "steady")
    worker.wait_until_ready()
    sent = []
    # The first ones warm up: they are sent and left out of the figures.
    warm = rate * 5
    begin = time.monotonic()
    for number in range(rate * seconds + warm):
        worker.check()
        pause = begin + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        at = stamp()
        name = f"steady/{number}"
        # Event ids grow with the number: of events in one second, the earlier one is judged first.
        content = packed([record(at, 10**9 + number, 10**6 + number, name), unrelated(at, 2 * 10**9 + number)])
        key = key_of(at, number)
        body = message(key, emulator.client.put(key, content), len(content))
        sent.append((name, time.time()))
        emulator.send([body])
    while emulator.left():
        worker.check()
        time.sleep(0.1)
    deadline = time.monotonic() + 60
    while len(worker.alerts_at()) < len(sent) and time.monotonic() < deadline:
        worker.check()
        time.sleep(0.2)
    peak = worker.peak_memory()
    worker.stop()
    committed = worker.rows(
        "SELECT e.secret_name AS name, o.ledger_version AS version FROM access_events e "
        "JOIN objects o ON o.object_key = e.object_key"
    )
    versions = {told["version"]: at for at, told in worker.told("committed")}
    committed = {one["name"]: versions[one["version"]] for one in committed}
    alerts = worker.alerts_at()
    if len(alerts) != len(sent) or len(committed) != len(sent):
        sys.exit(f"{len(sent)} sent, {len(committed)} rows, {len(alerts)} alerts")
    result = {"objects_per_s": rate, "sent": len(sent) - warm, "peak_mib": peak}
    rows = [committed[name] - at for name, at in sent[warm:]]
    raised = [at - told for at, (_, told) in zip(alerts[warm:], sent[warm:])]
    for what, delays in (("row", sorted(rows)), ("alert", sorted(raised))):
        if delays:
            result[what] = {"count": len(delays), "p50_s": delays[len(delays) // 2], "p99_s": delays[int(len(delays) * 0.99)],
                            "max_s": delays[-1]}
    return result


def table(result):
    bare, work, calm = result["ceiling_objects_per_s"], result["backlog"], result["steady"]
    print(f"\n{result['emulator']}, {result['objects']:,} objects of {result['reads'] * 2} records\n")
    print("| what | figure |\n|---|---|")
    print(f"| the emulator's own ceiling (receive, get, delete, nothing else) | {bare:,.0f} objects/s |")
    print(f"| `keytrail run` | {work['objects_per_s']:,.0f} objects/s, {work['records_per_s']:,.0f} records/s |")
    print(f"| share of the ceiling | {work['objects_per_s'] / bare:.2f} |")
    print(f"| the worker's CPU | {work['cpu_seconds']:.1f} s of {work['seconds']:.1f} s |")
    print(f"| peak memory over the backlog | {work['peak_mib']:.0f} MiB |")
    print(f"| commits | {work['commits']} |")
    for what in ("row", "alert"):
        if what in calm:
            one = calm[what]
            print(f"| notification to {what}, {calm['objects_per_s']} objects/s | p50 {one['p50_s']:.2f} s, p99 {one['p99_s']:.2f} s, max {one['max_s']:.2f} s ({one['count']}) |")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keytrail", default=str(ROOT / "target/release/keytrail"))
    options.add_argument("--emulator", choices=["fauxqs", "ministack"], default="fauxqs")
    options.add_argument("--objects", type=int, default=20_000)
    options.add_argument("--reads", type=int, default=10, help="records about secrets in one object; as many others")
    options.add_argument("--rate", type=int, default=5, help="objects per second of the steady part")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench-worker")
    options.add_argument("--json", type=pathlib.Path)
    chosen = options.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    program = os.path.abspath(chosen.keytrail)
    if not os.access(program, os.X_OK):
        sys.exit(f"{program} is not there: cargo build --release")
    emulator = Emulator(chosen.emulator, chosen.work)
    try:
        result = {"emulator": chosen.emulator, "objects": chosen.objects, "reads": chosen.reads}
        print("filling the bucket", file=sys.stderr)
        bodies = fill(emulator, chosen.objects, chosen.reads)
        emulator.send(bodies)
        print("the emulator's ceiling", file=sys.stderr)
        result["ceiling_objects_per_s"] = ceiling(emulator, chosen.objects, processes=2 * (os.cpu_count() or 2))
        emulator.send(bodies)
        print("the backlog", file=sys.stderr)
        result["backlog"] = backlog(program, emulator, chosen.work, chosen.objects, chosen.reads)
        print("steady", file=sys.stderr)
        result["steady"] = steady(program, emulator, chosen.work, chosen.rate, chosen.seconds)
    finally:
        emulator.close()
    table(result)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
