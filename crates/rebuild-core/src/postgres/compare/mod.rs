//! Comparing the rows of two databases.

mod adders;
mod keys;
mod shared;
mod side;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::adders::Adders;
pub(in crate::postgres) use self::keys::Keys;
pub(crate) use self::shared::{Place, VERIFY, add_up_share};
pub(in crate::postgres) use self::side::primary_keys;
use self::side::{Group, Side};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity, RowForm, TableName};
use crate::postgres::rows::RowOptions;

/// How the rows of two databases compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Which databases, the first and the second.
    pub databases: [Identity; 2],
    /// How many tables both have. Their rows were read.
    pub tables: u64,
    /// How many rows those have in each.
    pub rows: [u64; 2],
    /// Every table that differs, by name.
    pub differing: Vec<TableDifference>,
}

impl Comparison {
    /// True if there is no difference.
    pub fn same(&self) -> bool {
        self.differing.is_empty()
    }
}

/// How one table differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableDifference {
    /// The table.
    pub table: TableName,
    /// In what it differs.
    pub differences: Vec<Difference>,
}

/// In what a table differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The second database does not have it.
    OnlyInFirst,
    /// The first database does not have it.
    OnlyInSecond,
    /// Its columns have other names or types. Rows are compared in the columns that both have.
    Columns {
        /// Columns that only the first has.
        only_first: Vec<String>,
        /// Columns that only the second has.
        only_second: Vec<String>,
        /// Columns of another type: name, type in the first, type in the second.
        types: Vec<(String, String, String)>,
    },
    /// It holds other rows.
    Rows {
        /// How many in the first.
        first: u64,
        /// How many in the second.
        second: u64,
        /// Which, if that was asked for and the table has the same primary key in both.
        keys: Option<KeyDifferences>,
        /// Why they could not be named, if that was tried and failed.
        unnamed: Option<String>,
    },
}

/// The rows in which a table differs, by primary key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyDifferences {
    /// The columns of the key.
    pub columns: Vec<String>,
    /// How many keys only the first has.
    pub only_first: u64,
    /// How many keys only the second has.
    pub only_second: u64,
    /// How many keys both have with other values beside them.
    pub changed: u64,
    /// Some of those keys, no more than [`KEYS_SHOWN`].
    pub shown: Vec<DifferingKey>,
}

/// No more keys of a table are listed than this; all are counted.
pub const KEYS_SHOWN: usize = 100;

/// The key of a row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DifferingKey {
    /// In what way.
    pub how: Differs,
    /// Its values as text, in the order of the key's columns.
    pub key: Vec<String>,
}

/// In what way a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Differs {
    /// Only the first has it.
    OnlyInFirst,
    /// Only the second has it.
    OnlyInSecond,
    /// Both have it, with other values.
    Changed,
}

/// Compares the rows of every table of the database at `first` with those of the database at
/// `second`, each as it is at one moment. With `rows` it also finds the keys of the rows that
/// differ, which sorts every table that differs on both servers.
///
/// Tables are the same when their names are; rows are read in the columns that both have, in one
/// form and encoding. What is not compared: views and materialised views, foreign tables,
/// sequences, large objects, generated columns, and anything of the schema but what
/// [`Difference::Columns`] says. Keys are the same when their text is.
///
/// *Repeats:* looks again. *Destroys:* nothing.
///
/// # Errors
/// A refusal if both are one database, which always equals itself; a table cannot be read whole;
/// a server could not be asked.
pub async fn compare(
    ctx: &Ctx,
    first: &Endpoint,
    second: &Endpoint,
    rows: bool,
) -> Result<Comparison> {
    let options = RowOptions::default();
    compare_by(ctx, [first, second], rows, Adders::Here, &options).await
}

/// As [`compare`], with rows that `adders` add up. The keys of rows that differ are found by this
/// process.
///
/// # Errors
/// As [`compare`]; a worker failed, or its result is missing, damaged or not of its share.
pub(crate) async fn compare_by(
    ctx: &Ctx,
    [first, second]: [&Endpoint; 2],
    rows: bool,
    adders: Adders<'_>,
    options: &RowOptions,
) -> Result<Comparison> {
    let (a, b) = tokio::try_join!(
        Side::open(ctx, first, options),
        Side::open(ctx, second, options)
    )?;
    if a.identity.is_same_thing(&b.identity) {
        return Err(Error::refused(format!(
            "both addresses lead to the same database, {}",
            a.identity
        )));
    }
    let encoding = if a.encoding == b.encoding {
        a.encoding.clone()
    } else {
        "UTF8".to_owned()
    };
    let pairs: Vec<Pair<'_>> = a
        .groups
        .iter()
        .filter_map(|(name, first)| Some(Pair::new(name, first, b.groups.get(name)?)))
        .collect();
    let (in_a, places_a) = a.to_add_up(&encoding, pairs.iter().map(|p| p.reading(p.first)));
    let (in_b, places_b) = b.to_add_up(&encoding, pairs.iter().map(|p| p.reading(p.second)));
    let [sums_a, sums_b] = adders.of_both(ctx, [&in_a, &in_b], options).await?;
    let (sums_a, sums_b) = (places_a.sums(&sums_a), places_b.sums(&sums_b));
    let mut differing = only_in_one(&a.groups, &b.groups);
    for ((pair, in_a), in_b) in pairs.iter().zip(&sums_a).zip(&sums_b) {
        let mut differences: Vec<Difference> = pair.columns_differ().into_iter().collect();
        if in_a != in_b {
            let keys = match pair.key() {
                Some(key) if rows => pair.keys(ctx, key, [&a, &b], options).await.map(Some),
                _ => Ok(None),
            };
            // Whatever stands in the way, that they differ is known.
            let (keys, unnamed) = match keys {
                Ok(keys) => (keys, None),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                Err(e) => (None, Some(e.chain())),
            };
            differences.push(Difference::Rows {
                first: in_a.rows,
                second: in_b.rows,
                keys,
                unnamed,
            });
        }
        if !differences.is_empty() {
            differing.insert(pair.table.clone(), differences);
        }
    }
    let total = |sums: &[side::Sum]| sums.iter().map(|s| s.rows).sum();
    Ok(Comparison {
        tables: u64::try_from(pairs.len()).unwrap_or(u64::MAX),
        rows: [total(&sums_a), total(&sums_b)],
        databases: [a.identity.clone(), b.identity.clone()],
        differing: differing
            .into_iter()
            .map(|(table, differences)| TableDifference { table, differences })
            .collect(),
    })
}

fn only_in_one(
    first: &BTreeMap<TableName, Group>,
    second: &BTreeMap<TableName, Group>,
) -> BTreeMap<TableName, Vec<Difference>> {
    let names: BTreeSet<&TableName> = first.keys().chain(second.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let difference = match (first.contains_key(name), second.contains_key(name)) {
                (true, false) => Difference::OnlyInFirst,
                (false, true) => Difference::OnlyInSecond,
                _ => return None,
            };
            Some((name.clone(), vec![difference]))
        })
        .collect()
}

/// A table that both databases have.
struct Pair<'a> {
    table: &'a TableName,
    first: &'a Group,
    second: &'a Group,
    /// The names of the columns that both have, in the order of the first.
    columns: Vec<String>,
    /// Names with the type in the first and in the second, where those differ.
    types: Vec<(String, String, String)>,
}

impl<'a> Pair<'a> {
    fn new(table: &'a TableName, first: &'a Group, second: &'a Group) -> Self {
        let mut columns = Vec::new();
        let mut types = Vec::new();
        for (name, one) in &first.columns {
            if let Some((_, other)) = second.columns.iter().find(|(n, _)| n == name) {
                columns.push(name.clone());
                if one != other {
                    types.push((name.clone(), one.clone(), other.clone()));
                }
            }
        }
        Self {
            table,
            first,
            second,
            columns,
            types,
        }
    }

    /// Text means the same whatever the types are; the binary form of another type does not.
    fn form(&self) -> RowForm {
        let forms = [self.first.form, self.second.form];
        if forms == [RowForm::Binary; 2] && self.types.is_empty() {
            RowForm::Binary
        } else {
            RowForm::Text
        }
    }

    fn reading<'b>(&'b self, group: &'b Group) -> side::Reading<'b> {
        side::Reading {
            group,
            columns: &self.columns,
            form: self.form(),
        }
    }

    fn columns_differ(&self) -> Option<Difference> {
        let only = |group: &Group| -> Vec<String> {
            let names = group.columns.iter().map(|(name, _)| name);
            names
                .filter(|name| !self.columns.contains(name))
                .cloned()
                .collect()
        };
        let (only_first, only_second) = (only(self.first), only(self.second));
        let same = only_first.is_empty() && only_second.is_empty() && self.types.is_empty();
        (!same).then(|| Difference::Columns {
            only_first,
            only_second,
            types: self.types.clone(),
        })
    }

    /// The keys of the rows that differ.
    async fn keys(
        &self,
        ctx: &Ctx,
        key: &[String],
        [first, second]: [&Side; 2],
        options: &RowOptions,
    ) -> Result<KeyDifferences> {
        let keys = Keys {
            table: self.table,
            all: &self.columns,
            columns: key,
        };
        let (a, b) = tokio::try_join!(first.another(), second.another())?;
        let (in_a, in_b) = ((&a, &*self.first.from), (&b, &*self.second.from));
        let found = keys.compare(ctx, in_a, in_b, options).await;
        tokio::join!(a.close(), b.close());
        found
    }

    /// The columns of the primary key, if both have the same.
    fn key(&self) -> Option<&[String]> {
        let sorted = |key: &[String]| key.iter().cloned().collect::<BTreeSet<String>>();
        let same =
            !self.first.key.is_empty() && sorted(&self.first.key) == sorted(&self.second.key);
        same.then_some(self.first.key.as_slice())
    }
}

#[cfg(test)]
mod tests;
