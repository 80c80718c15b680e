//! What the spec says of the rows that are carried: which, and what of them is hidden.

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::spec::{MaskColumnSpec, MaskSpec, NamePatterns, SourceSpec, TablePatterns, Transformer};

use super::mask::Mask;
use super::subset::Chosen;

/// By how many days dates are shifted at most, where the spec does not say.
const DAYS: u16 = 30;

/// The rules of the spec, read.
#[derive(Clone, Debug)]
pub(crate) struct RefreshRules {
    pub(super) masks: Vec<MaskRule>,
    pub(super) require: NamePatterns,
    pub(super) allow: TablePatterns,
    pub(super) tables: Vec<TableRule>,
    pub(super) salt: Option<Secret>,
    /// Whether large objects are carried, if that was said.
    pub(super) large_objects: Option<bool>,
    /// Whether owners and privileges are.
    pub(super) privileges: bool,
}

/// How the columns that a pattern matches are masked.
#[derive(Clone, Debug)]
pub(super) struct MaskRule {
    pub(super) pattern: String,
    pub(super) columns: TablePatterns,
    pub(super) mask: Mask,
}

/// Which rows of the tables that a pattern matches are carried.
#[derive(Clone, Debug)]
pub(super) struct TableRule {
    pub(super) pattern: String,
    pub(super) tables: TablePatterns,
    pub(super) chosen: Chosen,
}

impl RefreshRules {
    /// The rules of `[source]` and `[mask]`.
    ///
    /// # Errors
    /// Wrong input: a pattern that is none; a mask without what it needs; with the key.
    pub(crate) fn read(source: &SourceSpec, mask: &MaskSpec) -> Result<Self> {
        let masks: Vec<MaskRule> = mask.columns.iter().map(mask_rule).collect::<Result<_>>()?;
        let salted = |rule: &&MaskRule| rule.mask.uses_salt();
        let salt = mask.salt.clone().filter(|salt| !salt.expose().is_empty());
        if let (None, Some(rule)) = (&salt, masks.iter().find(salted)) {
            return Err(Error::usage(format!(
                "mask.salt: is needed to mask {} by {}",
                rule.pattern,
                rule.mask.describe()
            ))
            .hint("salt = \"${MASK_SALT}\", a long random text that is kept secret"));
        }
        Ok(Self {
            masks,
            require: NamePatterns::compile(&mask.require).map_err(|e| e.context("mask.require"))?,
            allow: TablePatterns::with_columns(&mask.allow).map_err(|e| e.context("mask.allow"))?,
            tables: table_rules(source)?,
            salt,
            large_objects: source.large_objects,
            privileges: source.privileges,
        })
    }
}

fn table_rules(source: &SourceSpec) -> Result<Vec<TableRule>> {
    let read = |spec: &crate::spec::SourceTableSpec| {
        let wrong = |why: &str| Err(Error::usage(format!("source.table: {}: {why}", spec.table)));
        let chosen = match (spec.rows, &spec.condition) {
            (false, Some(_)) => return wrong("rows = false and where cannot go together"),
            (false, None) => Chosen::None,
            (true, Some(condition)) => Chosen::Where(condition.clone()),
            (true, None) => return wrong("needs where, or rows = false"),
        };
        Ok(TableRule {
            pattern: spec.table.clone(),
            tables: TablePatterns::compile(std::slice::from_ref(&spec.table))
                .map_err(|e| e.context("source.table"))?,
            chosen,
        })
    };
    source.tables.iter().map(read).collect()
}

fn mask_rule(spec: &MaskColumnSpec) -> Result<MaskRule> {
    let pattern = &spec.column;
    let wrong = |why: String| Error::usage(format!("mask.column: {pattern}: {why}"));
    let patterns = std::slice::from_ref(pattern);
    let columns = TablePatterns::with_columns(patterns).map_err(|e| e.context("mask.column"))?;
    if TablePatterns::compile(patterns).is_ok() {
        return Err(wrong(
            "names no column; write schema.table.column".to_owned(),
        ));
    }
    let mask = match (spec.transformer, &spec.sql) {
        (Some(transformer), None) => named(spec, transformer).map_err(wrong)?,
        (None, Some(sql)) => {
            only(spec, &[]).map_err(|key| wrong(format!("{key} is not used with sql")))?;
            Mask::Sql(sql.clone())
        }
        _ => return Err(wrong("needs either with or sql".to_owned())),
    };
    Ok(MaskRule {
        pattern: pattern.clone(),
        columns,
        mask,
    })
}

/// The mask of a named transformer, or why there is none.
fn named(spec: &MaskColumnSpec, transformer: Transformer) -> Result<Mask, String> {
    let used: &[&str] = match transformer {
        Transformer::Constant => &["value"],
        Transformer::Email => &["domain"],
        Transformer::DateShift => &["days", "by"],
        _ => &[],
    };
    only(spec, used).map_err(|key| format!("{key} is not used with this transformer"))?;
    Ok(match transformer {
        Transformer::Null => Mask::Null,
        Transformer::Constant => Mask::Constant(spec.value.clone().ok_or("constant needs value")?),
        Transformer::Hash => Mask::Hash,
        Transformer::Email => Mask::Email {
            domain: spec
                .domain
                .clone()
                .unwrap_or_else(|| "example.com".to_owned()),
        },
        Transformer::Name => Mask::Name,
        Transformer::Phone => Mask::Phone,
        Transformer::DateShift => Mask::DateShift {
            days: spec.days.unwrap_or(DAYS),
            by: spec.by.clone(),
        },
        Transformer::KeepFormat => Mask::KeepFormat,
    })
}

/// Refuses options beside those that are `used`, by the name of the first.
fn only(spec: &MaskColumnSpec, used: &[&str]) -> Result<(), &'static str> {
    let given = [
        ("value", spec.value.is_some()),
        ("domain", spec.domain.is_some()),
        ("days", spec.days.is_some()),
        ("by", spec.by.is_some()),
    ];
    let unused = given
        .into_iter()
        .find(|(key, given)| *given && !used.contains(key));
    unused.map_or(Ok(()), |(key, _)| Err(key))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(table: Value, mask: Value) -> Result<RefreshRules> {
        let mut source = json!({ "url": "" });
        source["table"] = table;
        let source = serde_json::from_value(source).expect("a source");
        RefreshRules::read(&source, &serde_json::from_value(mask).expect("masks"))
    }

    fn of_column(column: Value) -> Value {
        json!({ "salt": "pepper", "column": [column] })
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        let column = |with: Value| {
            let mut column = json!({ "column": "public.t.c" });
            let members = with.as_object().expect("members").clone();
            column.as_object_mut().expect("members").extend(members);
            (json!([]), of_column(column))
        };
        let table = |table: Value| (json!([table]), json!({}));
        for ((tables, mask), complaint) in [
            (
                table(json!({ "table": "t", "rows": false })),
                "source.table: \"t\" does not name",
            ),
            (
                table(json!({ "table": "a.t" })),
                "source.table: a.t: needs where, or rows = false",
            ),
            (
                table(json!({ "table": "a.t", "rows": false, "where": "x" })),
                "source.table: a.t: rows = false and where cannot go together",
            ),
            (
                column(json!({})),
                "mask.column: public.t.c: needs either with or sql",
            ),
            (
                column(json!({ "with": "hash", "sql": "1" })),
                "mask.column: public.t.c: needs either with or sql",
            ),
            (
                column(json!({ "with": "constant" })),
                "constant needs value",
            ),
            (
                column(json!({ "with": "hash", "days": 3 })),
                "days is not used with this",
            ),
            (
                column(json!({ "sql": "1", "value": "x" })),
                "value is not used with sql",
            ),
            (
                (
                    json!([]),
                    of_column(json!({ "column": "public.t", "with": "hash" })),
                ),
                "mask.column: public.t: names no column",
            ),
            (
                (
                    json!([]),
                    json!({ "column": [{ "column": "a.t.c", "with": "email" }] }),
                ),
                "mask.salt: is needed to mask a.t.c by email",
            ),
            (
                (
                    json!([]),
                    json!({ "salt": "", "column": [{ "column": "a.t.c", "with": "hash" }] }),
                ),
                "mask.salt: is needed",
            ),
        ] {
            let error = read(tables, mask).expect_err(complaint).chain();
            assert!(error.contains(complaint), "{error}\nexpected {complaint}");
        }
        let fine = json!({ "column": [{ "column": "a.t.c", "with": "null" }] });
        assert!(read(json!([]), fine).expect("rules").salt.is_none());
    }
}
