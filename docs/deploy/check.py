#!/usr/bin/env python3
"""Checks what this folder deploys: the systemd unit, the image, Terraform, and that they agree with the program.

    python3 docs/deploy/check.py [--keytrail PATH] [--strict]

In: the files beside this one; with --keytrail, the program itself, whose `iam-policy` and `config show` are compared with Terraform and
the guide. Out: one line for each check on standard output; exit code 1 if one failed. Needs python-hcl2 (requirements.txt). Tools that are
not installed (systemd-analyze, hadolint, terraform, checkov, parliament) are named as skipped; with --strict a skipped check is a failure.
Nothing is sent anywhere and nothing is changed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import hcl2

HERE = Path(__file__).resolve().parent
TERRAFORM = HERE / "terraform"
DLQ_FOURTEEN_DAYS = 14 * 86_400

CHECKS = []


class Skipped(Exception):
    """A tool that the check needs is not there."""


def check(function):
    CHECKS.append(function)
    return function


def tool(name):
    beside = Path(sys.executable).parent / name
    path = shutil.which(name) or (str(beside) if beside.exists() else None)
    if path is None:
        raise Skipped(f"{name} is not installed")
    return path


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def seconds(text):
    """`45s`, `2m`, `1min 30s` or plain seconds."""
    units = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
    parts = re.findall(r"(\d+)\s*([a-z]*)", text)
    expect(parts, f"{text!r} is not a length of time")
    return sum(int(number) * units[unit] for number, unit in parts)


def default_of(key):
    """A key's default, as docs/CONFIG.md tells it."""
    row = re.search(rf"^\| `{key}`.*$", (HERE.parent / "CONFIG.md").read_text(), re.M)
    expect(row, f"docs/CONFIG.md has no row for {key}")
    return re.search(r"\| `\"?([^`\"]+)\"?` \| [^|]+ \|$", row.group(0)).group(1)


# systemd


def unit():
    settings = {}
    for line in (HERE / "keytrail.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            settings.setdefault(key, []).append(value)
    return settings


@check
def unit_is_hardened(_):
    settings = unit()
    for key, value in {
        "User": "keytrail",
        "StateDirectory": "keytrail",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "Restart": "on-failure",
    }.items():
        expect(settings.get(key) == [value], f"{key} is {settings.get(key)}, not {value!r}")
    expect("MemoryMax" in settings, "MemoryMax is not set")
    expect("run --config /etc/keytrail/keytrail.toml" in settings["ExecStart"][0], "ExecStart does not run the worker")


@check
def unit_waits_longer_than_the_worker(_):
    patience, needed = seconds(unit()["TimeoutStopSec"][0]), seconds(default_of("shutdown_within"))
    expect(patience > needed, f"TimeoutStopSec ({patience} s) is not longer than worker.shutdown_within ({needed} s)")


@check
def systemd_understands_the_unit(_):
    analyze = tool("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        # The program is not installed where this runs; everything else is taken as it is.
        text = (HERE / "keytrail.service").read_text().replace("/usr/local/bin/keytrail", shutil.which("true"))
        path = Path(folder) / "keytrail.service"
        path.write_text(text)
        done = run(analyze, "verify", str(path), env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
        expect(done.returncode == 0 and not done.stderr.strip(), done.stderr or done.stdout)
        done = run(analyze, "security", "--offline=true", "--threshold=20", str(path))
        expect(done.returncode == 0, f"the unit is exposed: {done.stdout[-200:]}")


# The image


def stages():
    text = (HERE / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)])]


@check
def image_runs_without_root_and_shell(_):
    found = stages()
    expect(len(found) == 2, "the image has two stages")
    for stage in found:
        name = stage[0].split()[1]
        expect(re.fullmatch(r"[a-z]+:\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", name), f"{name} is not pinned")
    last = found[1]
    expect(last[0].split()[1].startswith("debian:"), "the last stage is Debian")
    expect(not any(line.startswith("RUN ") for line in last), "the last stage runs a shell")
    user = [line.split()[1] for line in last if line.startswith("USER ")]
    expect(user and user[-1].split(":")[0].isdigit() and int(user[-1].split(":")[0]) > 0, "USER is not a number above 0")
    for word in ("ENTRYPOINT [", "CMD [", "STOPSIGNAL SIGTERM"):
        expect(any(line.strip().startswith(word) for line in last), f"no {word}")
    health = [line for line in last if line.startswith("HEALTHCHECK ")]
    expect(len(health) == 1 and re.search(r"CMD \[\"/usr/local/bin/keytrail\"", health[0]), "HEALTHCHECK needs a shell")


@check
def image_and_toolchain_agree(_):
    cargo = tomllib.loads((HERE.parents[1] / "Cargo.toml").read_text())
    wanted = cargo["workspace"]["package"]["rust-version"]
    expect(f"rust:{wanted}." in stages()[0][0], f"the image does not build with Rust {wanted}")


@check
def hadolint_is_content(_):
    done = run(tool("hadolint"), str(HERE / "Dockerfile"))
    expect(done.returncode == 0, done.stdout + done.stderr)


# Terraform


def plain(value):
    """python-hcl2 leaves strings quoted."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def blocks(kind):
    """Resources, data sources or variables of all files, by `type.name`."""
    found = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        with path.open() as file:
            for block in plain(hcl2.load(file)).get(kind, []):
                for first, inner in block.items():
                    if kind in ("variable", "output"):
                        found[first] = inner
                    else:
                        found.update({f"{first}.{second}": body for second, body in inner.items()})
    return found


def statements(document):
    """A policy's statements by sid, the optional ones too."""
    body = blocks("data")[f"aws_iam_policy_document.{document}"]
    found = list(body.get("statement", []))
    for dynamic in body.get("dynamic", []):
        found += dynamic["statement"]["content"] if isinstance(dynamic["statement"]["content"], list) else [dynamic["statement"]["content"]]
    return {one["sid"]: one for one in found}


def conditions(statement):
    return {one["variable"]: (one["test"], one["values"]) for one in statement.get("condition", [])}


@check
def terraform_is_formatted(_):
    done = run(tool("terraform"), "fmt", "-check", "-diff", str(TERRAFORM))
    expect(done.returncode == 0, done.stdout + done.stderr)


@check
def every_reference_has_its_declaration(_):
    text = "\n".join(path.read_text() for path in sorted(TERRAFORM.glob("*.tf")))
    code = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    variables, resources, data = blocks("variable"), blocks("resource"), blocks("data")
    used = set(re.findall(r"\bvar\.(\w+)", code))
    expect(used == set(variables), f"variables used and declared differ: {used ^ set(variables)}")
    for kind, name in re.findall(r"\bdata\.(aws_\w+)\.(\w+)", code):
        expect(f"{kind}.{name}" in data, f"data.{kind}.{name} is not declared")
    for kind, name in re.findall(r"(?<![\w.\"])(aws_\w+)\.(\w+)", code):
        expect(f"{kind}.{name}" in resources, f"{kind}.{name} is not declared")
    declared = set(re.findall(r"^  (\w+)\s+=", code.split("locals {", 1)[1].split("\n}", 1)[0], re.M))
    for name in set(re.findall(r"\blocal\.(\w+)", code)):
        expect(name in declared, f"local.{name} is not declared")
    for name, variable in variables.items():
        expect(variable.get("description"), f"variable {name} has no description")


@check
def the_trail_records_reads_and_can_be_validated(_):
    trail = blocks("resource")["aws_cloudtrail.trail"]
    expect(trail["enable_log_file_validation"] is True and trail["is_multi_region_trail"] is True, "validation or regions are off")
    selector = trail["event_selector"][0]
    expect(selector["read_write_type"] == "All" and selector["include_management_events"] is True, "reads are not recorded")
    expect("exclude_management_event_sources" not in selector, "KMS or others are excluded")
    expect("aws_kms_key.trail" in trail["kms_key_id"], "the trail has no key of its own")
    expect(blocks("resource")["aws_kms_key.trail"]["enable_key_rotation"] is True, "the key is not rotated")


@check
def only_this_trail_may_write_and_nobody_else_look(_):
    resources = blocks("resource")
    block = resources["aws_s3_bucket_public_access_block.trail"]
    for key in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
        expect(block[key] is True, f"{key} is off")
    for document, sids in {"bucket": ("CloudTrailChecks", "CloudTrailWrites"), "key": ("CloudTrailEncrypts", "CloudTrailDescribes")}.items():
        for sid in sids:
            test, values = conditions(statements(document)[sid])["aws:SourceArn"]
            expect(test == "StringEquals" and values == ["${local.trail_arn}"], f"{sid} is not pinned to the trail")


@check
def only_this_bucket_may_announce(_):
    found = conditions(statements("queue")["BucketAnnounces"])
    expect(found["aws:SourceArn"] == ("ArnEquals", ["${aws_s3_bucket.trail.arn}"]), "aws:SourceArn is not the bucket")
    expect(found["aws:SourceAccount"] == ("StringEquals", ["${local.account}"]), "aws:SourceAccount is not this account")
    queue = blocks("resource")["aws_s3_bucket_notification.trail"]["queue"][0]
    expect(queue["events"] == ["s3:ObjectCreated:*"], f"events are {queue['events']}")
    expect(queue["filter_prefix"].endswith("AWSLogs/") and queue["filter_suffix"] == ".json.gz", "the filter is another")


@check
def dead_letters_outlive_the_queue(_):
    resources, variables = blocks("resource"), blocks("variable")
    dead, queue = resources["aws_sqs_queue.dead"], resources["aws_sqs_queue.announced"]
    expect(dead["message_retention_seconds"] == DLQ_FOURTEEN_DAYS, "the dead-letter queue does not keep messages for 14 days")
    expect(queue["message_retention_seconds"] == "${var.queue_retention_seconds}", "the queue's retention is no variable")
    retention = variables["queue_retention_seconds"]
    most = int(re.search(r"<= (\d+)", retention["validation"][0]["condition"]).group(1))
    expect(retention["default"] <= most < DLQ_FOURTEEN_DAYS, f"a queue may keep messages for {most} s")
    expect("aws_sqs_queue.dead.arn" in queue["redrive_policy"], "there is no redrive policy")
    expect(dead["sqs_managed_sse_enabled"] is True and queue["sqs_managed_sse_enabled"] is True, "a queue is not encrypted")
    gives_up, receives = int(default_of("give_up_after")), variables["max_receive_count"]["default"]
    expect(receives > gives_up, f"max_receive_count ({receives}) is not larger than worker.give_up_after ({gives_up})")


@check
def no_policy_allows_a_value(_):
    found = statements("worker")
    denied = found["NeverValues"]
    expect(denied["effect"] == "Deny" and denied["resources"] == ["*"], "values are not denied")
    for sid, statement in found.items():
        for action in statement["actions"]:
            values = action.startswith(("secretsmanager:", "ssm:"))
            expect(sid == "NeverValues" or (not values and "*" not in action), f"{sid} allows {action}")
        if statement["resources"] == ["*"]:
            expect(sid in ("NeverValues", "Trails"), f"{sid} is allowed on everything")


@check
def checkov_is_content(_):
    command = [tool("checkov"), "-d", str(TERRAFORM), "--framework", "terraform", "--compact", "--quiet", "-o", "json"]
    done = run(*command, env={**os.environ, "LOG_LEVEL": "CRITICAL"})
    report = json.loads(done.stdout[done.stdout.index("{") :])
    failed = [f"{one['check_id']} {one['resource']}" for one in report["results"]["failed_checks"]]
    expect(not failed and report["summary"]["passed"] > 50, f"failed: {failed}, {report['summary']}")


# The program


def guide_configuration():
    return re.search(r"```toml\n(.*?)```", (HERE / "README.md").read_text(), re.S).group(1)


def asked(keytrail, folder, *arguments):
    if keytrail is None:
        raise Skipped("--keytrail is not given")
    path = Path(folder) / "keytrail.toml"
    path.write_text(
        guide_configuration()
        + '[[aws.accounts]]\nid = "444455556666"\nrole_arn = "arn:aws:iam::444455556666:role/keytrail-reader"\n'
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KEYTRAIL")}
    done = run(keytrail, *arguments, "--config", str(path), "--format", "json", env=clean)
    expect(done.returncode == 0, done.stderr)
    return json.loads(done.stdout)


@check
def the_guides_configuration_is_valid(options):
    with tempfile.TemporaryDirectory() as folder:
        lines = {line["key"]: line for line in asked(options.keytrail, folder, "config", "show")}
        expect(lines["queue.url"]["origin"] == "file", f"{lines['queue.url']}")
        shutdown = seconds(lines["worker.shutdown_within"]["value"])
        expect(shutdown == seconds(default_of("shutdown_within")), "docs/CONFIG.md tells another default")


@check
def terraform_grants_what_the_program_asks_for(options):
    key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with tempfile.TemporaryDirectory() as folder:
        # Terraform's optional statements are all there; a lake on S3 brings its own two.
        policy = asked(options.keytrail, folder, "iam-policy", "--kms-key", key, "--lake", "s3://audit/lake")
    ours = {one["Sid"]: (one["Effect"], one["Action"]) for one in policy["Statement"]}
    theirs = {sid: (one.get("effect", "Allow"), one["actions"]) for sid, one in statements("worker").items()}
    expect(ours == theirs, f"the program asks for {ours}, Terraform grants {theirs}")


@check
def parliament_is_content(options):
    try:
        from parliament import analyze_policy_string
    except ImportError as error:
        raise Skipped("parliament is not installed") from error
    with tempfile.TemporaryDirectory() as folder:
        policies = [asked(options.keytrail, folder, "iam-policy"), asked(options.keytrail, folder, "iam-policy", "--reader-role")]
    for policy in policies:
        findings = [f"{one.issue} {one.detail}" for one in analyze_policy_string(json.dumps(policy)).findings]
        expect(not findings, f"{findings}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keytrail", help="the program to compare with")
    parser.add_argument("--strict", action="store_true", help="a skipped check is a failure")
    options = parser.parse_args()
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(options)
            print(f"ok      {name}")
        except Skipped as reason:
            print(f"skipped {name}: {reason}")
            failed += options.strict
        except Exception as error:  # noqa: BLE001 - a check that breaks has failed, and the others still run
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
            failed += 1
    print(f"{len(CHECKS)} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
