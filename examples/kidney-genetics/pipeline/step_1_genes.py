"""Loads the genes."""

from connection import connect

GENES = 500

with connect() as db, db.cursor().copy("copy public.gene (symbol, hgnc_id) from stdin") as copy:
    for n in range(1, GENES + 1):
        copy.write_row((f"GENE{n}", f"HGNC:{n}"))
print(f"{GENES} genes")
