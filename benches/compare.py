#!/usr/bin/env python3
"""The same work by ClickHouse (chdb) and DuckDB, on the corpus of the Rust benchmark, in the same run.

In: a corpus of .json.gz trail files. Out: one table of single-threaded CPU seconds and ratios, and with --json the same as
JSON. Each engine reads the gzip files, takes the records that concern secrets, and writes the columns of `access_events`
that it can state in one expression to one Parquet file; what Keytrail does besides (folding principals, resolving
targets, redaction) is not asked of them, so the comparison favours them.

    python3 benches/compare.py [--corpus DIR] [--make BYTES] [--rounds N] [--skip-keytrail] [--no-build] [--json FILE]

The engines are installed from PyPI into a virtual environment under target/ when they are missing. CPU time is that of
a child process of its own for each round, threads included, less the time of one that only imports the engine.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
WANTED = ["chdb==4.4.*", "duckdb==2.0.*"]
TARGET_GUNZIP, TARGET_CLICKHOUSE, TARGET_DUCKDB = 2.0, 3.0, 20.0

# What `scope = "secrets"` keeps, as far as a WHERE clause can say it; the few IAM, CloudTrail and gateway events are left out.
KEPT = """
  {source} IN ('secretsmanager.amazonaws.com', 'execute-api.amazonaws.com')
  OR ({source} = 'ssm.amazonaws.com' AND {name} LIKE '%Parameter%')
  OR ({source} = 'sts.amazonaws.com' AND {name} LIKE 'AssumeRo%' AND {kind} <> 'AWSService')
  OR ({source} = 'kms.amazonaws.com' AND ({secret} <> '' OR {parameter} <> ''))
"""

# Column name and path in the record; every path is tried as text.
COLUMNS = [
    ("event_id", ["eventID"]),
    ("shared_event_id", ["sharedEventID"]),
    ("event_at", ["eventTime"]),
    ("event_source", ["eventSource"]),
    ("event_name", ["eventName"]),
    ("secret_id", ["requestParameters", "secretId"]),
    ("secret_name", ["requestParameters", "name"]),
    ("version_id", ["requestParameters", "versionId"]),
    ("version_stage", ["requestParameters", "versionStage"]),
    ("kms_secret", ["requestParameters", "encryptionContext", "SecretARN"]),
    ("kms_version", ["requestParameters", "encryptionContext", "SecretVersionId"]),
    ("kms_parameter", ["requestParameters", "encryptionContext", "PARAMETER_ARN"]),
    ("with_decryption", ["requestParameters", "withDecryption"]),
    ("principal_kind", ["userIdentity", "type"]),
    ("principal_arn", ["userIdentity", "arn"]),
    ("principal_role", ["userIdentity", "sessionContext", "sessionIssuer", "arn"]),
    ("principal_account", ["userIdentity", "accountId"]),
    ("principal_unique_id", ["userIdentity", "principalId"]),
    ("source_identity", ["userIdentity", "sessionContext", "sourceIdentity"]),
    ("access_key_id", ["userIdentity", "accessKeyId"]),
    ("mfa", ["userIdentity", "sessionContext", "attributes", "mfaAuthenticated"]),
    ("invoked_by", ["userIdentity", "invokedBy"]),
    ("workload", ["userIdentity", "inScopeOf", "credentialsIssuedTo"]),
    ("source_ip", ["sourceIPAddress"]),
    ("vpc_endpoint_id", ["vpcEndpointId"]),
    ("user_agent", ["userAgent"]),
    ("tls_version", ["tlsDetails", "tlsVersion"]),
    ("account_id", ["recipientAccountId"]),
    ("region", ["awsRegion"]),
    ("error_code", ["errorCode"]),
    ("error_message", ["errorMessage"]),
]


def kept_by(value):
    context = ["requestParameters", "encryptionContext"]
    return KEPT.format(
        source=f"({value(['eventSource'])})",
        name=f"({value(['eventName'])})",
        kind=f"({value(['userIdentity', 'type'])})",
        secret=f"({value([*context, 'SecretARN'])})",
        parameter=f"({value([*context, 'PARAMETER_ARN'])})",
    )


def clickhouse_sql(glob, out):
    def path(parts):
        return ", ".join(f"'{part}'" for part in parts)

    columns = ",\n  ".join(f"JSONExtractString(record, {path(parts)}) AS {name}" for name, parts in COLUMNS)

    def value(parts):
        # Found by a plain search, without parsing the record: the fastest look at it that ClickHouse has.
        if parts in (["eventSource"], ["eventName"]):
            return f"simpleJSONExtractString(record, '{parts[0]}')"
        return f"JSONExtractString(record, {path(parts)})"

    kept = kept_by(value)
    return f"""
INSERT INTO FUNCTION file('{out}', 'Parquet')
SELECT
  {columns},
  JSONExtractRaw(record, 'requestParameters', 'names') AS secret_names,
  _path AS object_key, record AS raw
FROM (
  SELECT _path, arrayJoin(JSONExtractArrayRaw(json, 'Records')) AS record
  FROM file('{glob}', 'JSONAsString', 'json String')
)
WHERE {kept}
SETTINGS max_threads = 1, max_insert_threads = 1, max_parsing_threads = 1, output_format_parallel_formatting = 0,
  input_format_parallel_parsing = 0, output_format_parquet_parallel_encoding = 0,
  engine_file_truncate_on_insert = 1, input_format_json_max_depth = 1000, max_block_size = 1
"""


def duckdb_sql(glob, out):
    def path(parts):
        return "$." + ".".join(f'"{part}"' for part in parts)

    columns = ",\n  ".join(f"record->>'{path(parts)}' AS {name}" for name, parts in COLUMNS)
    kept = kept_by(lambda parts: f"record->>'{path(parts)}'")
    return f"""
COPY (
  SELECT
    {columns},
    record->>'$."requestParameters"."names"' AS secret_names,
    filename AS object_key, record::VARCHAR AS raw
  FROM (
    SELECT filename, unnest("Records") AS record
    FROM read_json('{glob}', columns = {{'Records': 'JSON[]'}}, format = 'unstructured',
      maximum_object_size = 67108864, filename = true)
  )
  WHERE {kept}
) TO '{out}' (FORMAT parquet)
"""


def run_engine(name, glob, out):
    """In a child process: one engine, one round."""
    if name == "clickhouse":
        import chdb

        if glob:
            chdb.query(clickhouse_sql(glob, out))
    else:
        import duckdb

        connection = duckdb.connect(config={"threads": 1})
        if glob:
            connection.execute("SET memory_limit = '8GB'")
            connection.execute(duckdb_sql(glob, out))


def engine_round(python, name, glob, out):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run([python, __file__, "--engine", name, "--glob", glob, "--out", out], check=True)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime), wall


def engines_python():
    home = ROOT / "target" / "bench-venv"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    probe = "import chdb, duckdb; print(duckdb.__version__)"
    if subprocess.run([python, "-c", probe], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *WANTED], check=True)
    return str(python)


def build(options):
    """The program and its benchmark in one build, so that the query engine is compiled once; with the corpus if asked."""
    if options.make:
        make = ["cargo", "bench", "-p", "keytrail-ingest", "--no-default-features", "--bench", "decode", "--"]
        make += ["--corpus", options.corpus, "--make", str(options.make), "--rounds", "1", "--scope", "secrets"]
        subprocess.run(make, check=True, cwd=ROOT)
    if options.no_build:
        return ROOT / "target" / "release"
    command = ["cargo", "build", "--release", "-p", "keytrail", "-p", "keytrail-ingest", "--features", "keytrail-ingest/bench"]
    subprocess.run([*command, "--bin", "keytrail", "--bin", "decode-bench"], check=True, cwd=ROOT)
    return ROOT / "target" / "release"


def keytrail(programs, options):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "keytrail.json"
        command = [programs / "decode-bench", "--corpus", options.corpus, "--rounds", str(options.rounds)]
        subprocess.run([*command, "--scope", "secrets", "--json", report], check=True)
        return json.loads(report.read_text())


def whole_ingest(programs, corpus):
    """`keytrail ingest` from files to a committed lake, with as many workers as there are cores."""
    with tempfile.TemporaryDirectory() as lake:
        command = [str(programs / "keytrail"), "ingest", corpus, "--lake", str(pathlib.Path(lake) / "lake")]
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"`keytrail ingest` ended with {process.returncode}")
        cpu = usage.ru_utime + usage.ru_stime
        return {"ingest_wall": wall, "ingest_cpu": cpu, "ingest_peak_mb": usage.ru_maxrss / 1024}


def rows_of(python, path):
    query = "import duckdb, sys; print(duckdb.sql(f\"SELECT count(*) FROM '{sys.argv[1]}'\").fetchall()[0][0])"
    return int(subprocess.run([python, "-c", query, path], check=True, capture_output=True, text=True).stdout)


def main():
    options = arguments()
    if options.engine:
        run_engine(options.engine, options.glob, options.out)
        return
    python = engines_python()
    report = {}
    if not options.skip_keytrail:
        programs = build(options)
        own = keytrail(programs, options)
        stages = own["stages"]
        report = {"gunzip": stages[0]["cpu_ms"] / 1e3, "keytrail": stages[-1]["cpu_ms"] / 1e3, "peak_mb": own["peak_mb"]}
        report |= {"keytrail_stage": stages[-1]["stage"], "keytrail_rows": stages[-1]["rows"], "json_bytes": own["json_bytes"]}
        report |= {"stages": stages, "records": stages[-1]["records"]} | whole_ingest(programs, options.corpus)
    glob = str(pathlib.Path(options.corpus).resolve() / "**" / "*.json.gz")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("clickhouse", "duckdb"):
            out = os.path.join(folder, f"{name}.parquet")
            idle = min(engine_round(python, name, "", out)[0] for _ in range(2))
            busy = min(engine_round(python, name, glob, out)[0] for _ in range(options.engine_rounds))
            report[name] = busy - idle
            report[f"{name}_rows"] = rows_of(python, out)
    show(report)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def show(report):
    print(f"{'':<14} {'CPU s':>9} {'rows':>9}")
    for name in ("gunzip", "keytrail", "clickhouse", "duckdb"):
        if name in report:
            print(f"{name:<14} {report[name]:>9.3f} {report.get(name + '_rows', ''):>9}")
    if "keytrail" not in report:
        return
    own = report["keytrail"]
    for text, value, target, is_met in (
        ("keytrail / gunzip", own / report["gunzip"], f"at most {TARGET_GUNZIP}", own <= TARGET_GUNZIP * report["gunzip"]),
        ("clickhouse / keytrail", report["clickhouse"] / own, f"at least {TARGET_CLICKHOUSE}", report["clickhouse"] >= TARGET_CLICKHOUSE * own),
        ("duckdb / keytrail", report["duckdb"] / own, f"at least {TARGET_DUCKDB}", report["duckdb"] >= TARGET_DUCKDB * own),
    ):
        print(f"{text:<22} {value:>7.2f}   target {target}: {'met' if is_met else 'MISSED'}")
    print(f"keytrail's last stage was `{report['keytrail_stage']}`; its peak memory {report['peak_mb']:.0f} MiB")
    print(
        f"`keytrail ingest` of the {report['json_bytes'] / 1e6:.0f} MB: {report['ingest_wall']:.2f} s, CPU {report['ingest_cpu']:.2f} s, "
        f"peak memory {report['ingest_peak_mb']:.0f} MiB"
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default=str(pathlib.Path(tempfile.gettempdir()) / "keytrail-corpus"))
    parser.add_argument("--make", type=int, help="make a corpus of this many bytes of JSON first (the folder must be empty)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine-rounds", type=int, default=2)
    parser.add_argument("--skip-keytrail", action="store_true")
    parser.add_argument("--no-build", action="store_true", help="the programs in target/release are those wanted")
    parser.add_argument("--json")
    for hidden in ("--engine", "--glob", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
