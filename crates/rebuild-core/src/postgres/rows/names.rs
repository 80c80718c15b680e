//! Names in statements that are sent under another `client_encoding` than UTF8.

use crate::error::Result;
use crate::model::TableName;
use crate::postgres::ident::ascii_literal;
use crate::postgres::{ascii_ident, ident, literal};

/// Rows are read and written in the encoding the database they come from is in, so that no
/// conversion can change or refuse a byte. Statements are UTF-8 all the same, so names in them
/// must be ASCII there, by way of escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    escaped: bool,
}

impl Names {
    /// For statements sent to a session whose `client_encoding` is `encoding`.
    pub(crate) fn under(encoding: &str) -> Self {
        // A server in SQL_ASCII takes names as bytes, and cannot resolve escapes.
        Self {
            escaped: !matches!(encoding, "UTF8" | "SQL_ASCII"),
        }
    }

    /// `name`, quoted.
    ///
    /// # Errors
    /// As [`ident`].
    pub(crate) fn ident(self, name: &str) -> Result<String> {
        if self.escaped {
            ascii_ident(name)
        } else {
            ident(name)
        }
    }

    /// `schema.name`, both quoted.
    ///
    /// # Errors
    /// As [`ident`].
    pub(crate) fn table(self, table: &TableName) -> Result<String> {
        Ok(format!(
            "{}.{}",
            self.ident(&table.schema)?,
            self.ident(&table.name)?
        ))
    }

    /// The names, quoted, with commas between.
    ///
    /// # Errors
    /// As [`ident`].
    pub(crate) fn list<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let quoted: Vec<String> = names
            .into_iter()
            .map(|name| self.ident(name))
            .collect::<Result<_>>()?;
        Ok(quoted.join(", "))
    }

    /// `text` as a string constant.
    ///
    /// # Errors
    /// As [`literal`].
    pub(crate) fn literal(self, text: &str) -> Result<String> {
        if self.escaped {
            ascii_literal(text)
        } else {
            literal(text)
        }
    }

    /// True if `sql`, which somebody else wrote, means there what it says.
    pub(crate) fn carries(self, sql: &str) -> bool {
        !self.escaped || sql.is_ascii()
    }
}
