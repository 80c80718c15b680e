"""Loads the genes."""

import psycopg

GENES = 500


def load(db: psycopg.Connection) -> str:
    with db.cursor().copy("copy public.gene (symbol, hgnc_id) from stdin") as copy:
        for n in range(1, GENES + 1):
            copy.write_row((f"GENE{n}", f"HGNC:{n}"))
    return f"{GENES} genes"


if __name__ == "__main__":
    from connection import main

    main(load)
