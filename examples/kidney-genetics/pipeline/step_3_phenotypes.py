"""Loads phenotypes and links them to genes."""

from connection import connect

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
    print(f"{done.rowcount} links")
