//! What a table holds, in a few bytes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A relation by schema and name, unquoted, exactly as the catalog stores them.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct TableName {
    /// The schema's name.
    pub schema: String,
    /// The relation's name.
    pub name: String,
}

impl TableName {
    /// A name from its parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }
}

/// For people. A name's own line ends are escaped, so that none can look like another line.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = format!("{}.{}", self.schema, self.name);
        f.write_str(&shown.replace('\n', "\\n"))
    }
}

/// The form in which COPY gives the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RowForm {
    /// COPY's text format, under the session settings that every session of this crate pins.
    Text,
    /// COPY's binary format.
    Binary,
}

/// The wrapping sum of the 128-bit hashes of every row: equal rows in any order give an equal
/// sum. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct ContentHash(pub u128);

impl ContentHash {
    /// Adds the hash of one row.
    pub fn add_row(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }

    /// Adds the sum of another part of the same table.
    pub fn merge(&mut self, other: Self) {
        self.add_row(other.0);
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.len() != 32 {
            return Err(serde::de::Error::custom(
                "a content hash has 32 hexadecimal digits",
            ));
        }
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// The fingerprint of one table. Two are comparable when `form` and `columns` are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableFingerprint {
    /// The table.
    pub table: TableName,
    /// The columns that were read, in order.
    pub columns: Vec<String>,
    /// The form they were read in.
    pub form: RowForm,
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' hashes.
    pub hash: ContentHash,
}
