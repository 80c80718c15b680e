create or replace view articles_by_day as
select published_on, language, count(*) as articles from article group by published_on, language;
