"""Loads phenotypes and links them to genes; too few links mean that the sources were not whole."""

import os

import psycopg


def load(db: psycopg.Connection) -> str:
    least = int(os.environ.get("KIDNEY_MIN_LINKS", "1000"))
    db.execute(
        """
        insert into public.phenotype (hpo_id, name)
        select 'HP:' || lpad(n::text, 7, '0'), 'phenotype ' || n from generate_series(1, 60) n
        """
    )
    done = db.execute(
        """
        insert into public.gene_phenotype (gene_id, phenotype_id)
        select g.id, p.id from public.gene g join public.phenotype p on (g.id + p.id) % 20 = 0
        """
    )
    if done.rowcount < least:
        raise ValueError(f"{done.rowcount} links, where {least} are the least to go on with")
    return f"{done.rowcount} links"


if __name__ == "__main__":
    from connection import main

    main(load)
