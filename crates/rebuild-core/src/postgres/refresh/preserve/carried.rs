//! A preserved table: what of it is carried, by which columns rows are the same, and what stands
//! against it.

use std::collections::BTreeSet;

use super::links::{Link, links, partial};
use super::order::{Circle, circles};
use super::shape::{Column, FIRST_OF_USERS, Shape, Unique, shape};
use super::{Keep, Preserved};
use crate::error::Result;
use crate::postgres::{Session, ident};

/// A column that both sides have and that is not computed.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    /// Its name.
    pub(super) plain: String,
    /// Its name, quoted.
    pub(super) name: String,
    /// From the text of the value to what the new column takes.
    pub(super) types: Vec<String>,
    /// The new column's type is a domain; this is what it is made of.
    pub(super) domain_of: Option<String>,
    /// Takes a value only where the system's is overridden.
    pub(super) identity_always: bool,
}

/// Columns by which rows are compared, each with its operator.
pub(super) type Compared = Vec<(usize, String)>;

/// A preserved table.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// What the spec says of it.
    pub(super) rule: Preserved,
    /// In the old database.
    pub(super) old: Shape,
    /// In the new one.
    pub(super) new: Shape,
    /// The columns whose values are carried.
    pub(super) columns: Vec<Carry>,
    /// By which rows of both sides are the same.
    pub(super) key: Compared,
    /// The primary key, if both sides have its columns.
    pub(super) primary: Option<Compared>,
    /// The primary key is another one than the key, so the same row may have two.
    pub(super) moves: bool,
    /// Its foreign keys whose columns are all carried.
    pub(super) links: Vec<Link>,
    /// The columns that rows of preserved tables refer to.
    pub(super) referred: BTreeSet<usize>,
}

impl Carried {
    /// The place of the columns `names`, if all are carried.
    pub(super) fn places(&self, names: &[String]) -> Option<Vec<usize>> {
        places(&self.columns, names)
    }

    /// By which a row that is in the new database is found there.
    pub(super) fn locator(&self) -> &Compared {
        self.primary.as_ref().unwrap_or(&self.key)
    }

    /// The columns that stay as they are where both sides have a row.
    pub(super) fn fixed(&self) -> BTreeSet<usize> {
        let both = self.key.iter().chain(self.locator());
        both.map(|(at, _)| *at).collect()
    }

    /// The columns whose first values are remembered: by them rows are found and referred to.
    pub(super) fn remembered(&self) -> BTreeSet<usize> {
        let mut all = self.fixed();
        all.extend(&self.referred);
        for link in &self.links {
            all.extend(self.places(&link.columns).unwrap_or_default());
        }
        all
    }

    /// The columns that become the target's where both sides have a row.
    pub(super) fn replaced(&self) -> Vec<usize> {
        let fixed = self.fixed();
        (0..self.columns.len())
            .filter(|at| !fixed.contains(at))
            .collect()
    }

    /// True if rows that are not preserved must be known, for what refers to them is moved.
    pub(super) fn needs_others(&self) -> bool {
        self.moves && !self.referred.is_empty() && self.rule.condition.is_some()
    }

    /// True if the target's row stays where both sides have it.
    pub(super) fn keeps_target(&self) -> bool {
        self.rule.keep == Keep::Target
    }
}

fn places(columns: &[Carry], names: &[String]) -> Option<Vec<usize>> {
    let place = |n: &String| columns.iter().position(|c| c.plain == *n);
    names.iter().map(place).collect()
}

/// What the catalogs say of all rules.
#[derive(Default)]
pub(super) struct Survey {
    /// The tables, in the order of the rules. Of no use if there are problems.
    pub(super) tables: Vec<Carried>,
    /// In which order they are worked.
    pub(super) circles: Vec<Circle>,
    /// What will happen.
    pub(super) notes: Vec<String>,
    /// What stands against it.
    pub(super) problems: Vec<String>,
}

/// Reads what both sides' catalogs say of the tables of `rules`.
///
/// # Errors
/// A server could not be asked.
pub(super) async fn survey(old: &Session, new: &Session, rules: &[Preserved]) -> Result<Survey> {
    let mut survey = Survey::default();
    for rule in rules {
        if let Some(table) = one(&mut survey, old, new, rule).await? {
            survey.tables.push(table);
        }
    }
    twice(&mut survey);
    if !survey.problems.is_empty() {
        return Ok(survey);
    }
    let shapes: Vec<&Shape> = survey.tables.iter().map(|t| &t.new).collect();
    let all = links(new, &shapes).await?;
    connect(&mut survey, all);
    unfollowed(new, &mut survey).await?;
    Ok(survey)
}

/// What only the rows of one partition refer to cannot be followed.
async fn unfollowed(new: &Session, survey: &mut Survey) -> Result<()> {
    for table in &survey.tables {
        for (name, parent) in partial(new, &table.new).await? {
            let moved = |t: &&Carried| t.moves && t.new.shares_rows(parent);
            if let Some(parent) = survey.tables.iter().find(moved) {
                survey.problems.push(format!(
                    "the foreign key {name} of one partition of {} refers to rows of {}, which may \
                     get another primary key",
                    table.rule.table, parent.rule.table
                ));
            }
        }
    }
    Ok(())
}

/// Two rules about the same rows contradict each other.
fn twice(survey: &mut Survey) {
    for (at, table) in survey.tables.iter().enumerate() {
        let within = |t: &Carried| t.new.lineage.contains(&table.new.oid);
        let mut others = survey.tables.iter().enumerate();
        if let Some((_, other)) =
            others.find(|(n, t)| *n > at && (within(t) || table.new.lineage.contains(&t.new.oid)))
        {
            survey.problems.push(format!(
                "{} is preserved by one rule and {} by another, which are the same rows",
                table.rule.table, other.rule.table
            ));
        }
    }
}

async fn one(
    survey: &mut Survey,
    old: &Session,
    new: &Session,
    rule: &Preserved,
) -> Result<Option<Carried>> {
    let sides = (
        shape(old, &rule.table).await?,
        shape(new, &rule.table).await?,
    );
    let table = &rule.table;
    let mut problems = Vec::new();
    let (was, is) = match sides {
        (Some(was), Some(is)) => (was, is),
        (was, is) => {
            for (side, there) in [("target", was.is_some()), ("source", is.is_some())] {
                if !there {
                    problems.push(format!("the {side} has no table {table}"));
                }
            }
            survey.problems.extend(problems);
            return Ok(None);
        }
    };
    for (side, shape) in [("target", &was), ("source", &is)] {
        if !matches!(shape.kind.as_str(), "r" | "p") {
            problems.push(format!("{table} is no table in the {side}"));
        }
        if shape.hidden {
            problems.push(format!(
                "row-level security hides rows of {table} in the {side} from this role"
            ));
        }
    }
    let casts = casts(new).await?;
    let columns = columns(&was, &is, &casts, survey, &mut problems)?;
    let key = key(rule, &is, &columns, &mut problems);
    let done = problems.is_empty();
    survey.problems.extend(problems);
    let Some(key) = key.filter(|_| done) else {
        return Ok(None);
    };
    let compared = |u: &Unique| {
        let at = places(&columns, &u.columns)?;
        Some(at.into_iter().zip(u.equals.iter().cloned()).collect())
    };
    let primary: Option<Compared> = is.primary_key().and_then(compared);
    let set = |c: &Compared| c.iter().map(|(at, _)| *at).collect::<BTreeSet<_>>();
    Ok(Some(Carried {
        rule: rule.clone(),
        moves: primary.as_ref().is_some_and(|p| set(p) != set(&key)),
        old: was,
        new: is,
        columns,
        key,
        primary,
        links: Vec::new(),
        referred: BTreeSet::new(),
    }))
}

/// The columns by which rows are the same.
fn key(
    rule: &Preserved,
    new: &Shape,
    columns: &[Carry],
    problems: &mut Vec<String>,
) -> Option<Compared> {
    let table = &rule.table;
    let unique = if rule.key.is_empty() {
        new.primary_key()
    } else {
        new.unique_over(&rule.key)
    };
    let Some(unique) = unique else {
        problems.push(if rule.key.is_empty() {
            format!("{table} has no primary key in the source, so say by which key its rows are the same")
        } else {
            format!(
                "the source has no unique index on ({}) of {table}",
                rule.key.join(", ")
            )
        });
        return None;
    };
    let mut missing = Vec::new();
    let mut key = Vec::new();
    for (name, equals) in unique.columns.iter().zip(&unique.equals) {
        match places(columns, std::slice::from_ref(name)).as_deref() {
            Some([at]) => key.push((*at, equals.clone())),
            _ => missing.push(name.clone()),
        }
    }
    if missing.is_empty() {
        return Some(key);
    }
    problems.push(format!(
        "the key of {table} needs {}, which not both sides have as a plain column",
        missing.join(", ")
    ));
    None
}

/// The columns that are carried.
fn columns(
    old: &Shape,
    new: &Shape,
    casts: &BTreeSet<(u32, u32)>,
    survey: &mut Survey,
    problems: &mut Vec<String>,
) -> Result<Vec<Carry>> {
    let table = &new.table;
    let mut carried = Vec::new();
    for to in new.columns.iter().filter(|c| !c.generated) {
        let Some(from) = old.column(&to.name) else {
            survey.notes.push(format!(
                "the column {} of {table} is new: preserved rows get its default",
                to.name
            ));
            continue;
        };
        if from.type_name != to.type_name {
            survey.notes.push(format!(
                "the column {} of {table} is {} in the target and {} in the source: values are converted",
                to.name, from.type_name, to.type_name
            ));
        }
        if !convertible(from, to, casts) {
            problems.push(format!(
                "the column {} of {table} is {} in the target and {} in the source, which cannot be converted",
                to.name, from.type_name, to.type_name
            ));
        }
        let parts = from.parts.as_ref().zip(to.parts.as_ref());
        if let Some(why) = parts.and_then(|(from, to)| from.rearranged(to)) {
            problems.push(format!(
                "the column {} of {table} cannot be carried: {why} in the source",
                to.name
            ));
        }
        // What reads the text of a truth value is no number's input, but there is a cast.
        let by_cast = from.category != to.category && casts.contains(&(from.base, to.base));
        let mut types = vec![to.base_name.clone()];
        if by_cast && !of_text(from) && !of_text(to) {
            types.insert(0, from.base_name.clone());
        }
        carried.push(Carry {
            plain: to.name.clone(),
            name: ident(&to.name)?,
            types,
            domain_of: to.domain.then(|| to.base_name.clone()),
            identity_always: to.identity_always,
        });
    }
    for from in &old.columns {
        if new.column(&from.name).is_none() {
            survey.notes.push(format!(
                "the column {} of {table} is only in the target: its values are not put back",
                from.name
            ));
        }
    }
    Ok(carried)
}

fn of_text(column: &Column) -> bool {
    matches!(column.category.as_str(), "S" | "E")
}

/// True if at least some values of one can become values of the other.
fn convertible(from: &Column, to: &Column, casts: &BTreeSet<(u32, u32)>) -> bool {
    let of_users = |c: &Column| c.base >= FIRST_OF_USERS;
    from.base == to.base
        || of_text(from)
        || of_text(to)
        || of_users(from)
        || of_users(to)
        || from.category == to.category && from.category != "U"
        || casts.contains(&(from.base, to.base))
}

/// The casts between built-in types.
async fn casts(session: &Session) -> Result<BTreeSet<(u32, u32)>> {
    let sql = "select castsource, casttarget from pg_catalog.pg_cast
                where castsource < 16384 and casttarget < 16384";
    let rows = session.query(sql, &[]).await;
    let failed = |e| crate::postgres::server_error("could not read the casts", e);
    let rows = rows.map_err(failed)?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1))).collect())
}

/// Gives each table its foreign keys, and finds the order.
fn connect(survey: &mut Survey, all: Vec<Vec<Link>>) {
    let tables = &mut survey.tables;
    for (at, links) in all.into_iter().enumerate() {
        for mut link in links {
            if tables[at].places(&link.columns).is_none() {
                continue;
            }
            link.parents
                .retain(|p| tables[*p].places(&link.parent_columns).is_some());
            for parent in link.parents.clone() {
                let places = tables[parent].places(&link.parent_columns);
                tables[parent].referred.extend(places.unwrap_or_default());
            }
            tables[at].links.push(link);
        }
    }
    let parents = |t: &Carried| t.links.iter().flat_map(|l| l.parents.clone()).collect();
    let parents: Vec<BTreeSet<usize>> = tables.iter().map(parents).collect();
    survey.circles = circles(&parents);
    for circle in survey.circles.iter().filter(|c| c.closed) {
        for at in &circle.tables {
            let table = &tables[*at];
            let fixed = table.fixed();
            for link in &table.links {
                let moved = |p: &usize| circle.tables.contains(p) && tables[*p].moves;
                let columns = table.places(&link.columns).unwrap_or_default();
                if link.parents.iter().any(moved) && columns.iter().any(|c| fixed.contains(c)) {
                    survey.problems.push(format!(
                        "the rows of {} are told apart by {}, which refers to rows that may move, \
                         in a circle",
                        table.rule.table, link.name
                    ));
                }
            }
        }
    }
}
