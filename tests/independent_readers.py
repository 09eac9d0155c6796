"""Open a lake with DuckDB and with the Python `deltalake` package and print what they see as JSON.

Usage: independent_readers.py LAKE
Out: {"duckdb": {table: rows, ...}, "deltalake": {...}, "unique": bool, "columns": [...], "reads": n}
"""

import glob
import json
import os
import sys

import deltalake
import duckdb
import duckdb_extension_delta

TABLES = ["access_events", "objects", "quarantine", "alert_log"]


def connect():
    folder = os.path.dirname(duckdb_extension_delta.__file__)
    extension = glob.glob(folder + "/**/delta.duckdb_extension", recursive=True)[0]
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    return connection


def main(lake):
    connection = connect()

    def one(sql):
        return connection.sql(sql).fetchone()[0]

    events = f"delta_scan('{lake}/access_events')"
    result = {
        "duckdb": {t: one(f"SELECT count(*) FROM delta_scan('{lake}/{t}')") for t in TABLES},
        "deltalake": {
            t: deltalake.DeltaTable(f"{lake}/{t}").to_pyarrow_dataset().count_rows() for t in TABLES
        },
        "reads": one(f"SELECT count(*) FROM {events} WHERE action = 'read' AND outcome = 'ok'"),
        "doubled": one(
            "SELECT count(*) FROM (SELECT account_id, event_id, coalesce(secret_id, secret_name, '')"
            f" FROM {events} GROUP BY ALL HAVING count(*) > 1)"
        ),
        "columns": [
            row[0] for row in connection.sql(f"DESCRIBE SELECT * FROM {events}").fetchall()
        ],
        "event_at_type": one(f"SELECT DISTINCT typeof(event_at) FROM {events}"),
    }
    print(json.dumps(result))


main(sys.argv[1])
