//! What the masks' expressions are made of.

use super::{Mask, MaskedColumn, SALT, refusal};
use crate::error::Result;
use crate::postgres::rows::names::Names;

/// What kind of values a type has, as far as masks care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text(Text),
    Bytes,
    Uuid,
    Integer,
    Day,
    Moment,
    Other,
}

/// When two texts of a type are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// `text`, `character varying`, `character`.
    Plain,
    /// `citext`, which an extension makes: capitals do not count.
    NoCase,
}

impl Kind {
    /// The kind of the type named `base`, as `format_type` writes it.
    pub(super) fn of(base: &str) -> Self {
        match base {
            "text" | "character varying" | "character" | "bpchar" => Self::Text(Text::Plain),
            "bytea" => Self::Bytes,
            "uuid" => Self::Uuid,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "date" => Self::Day,
            "timestamp without time zone" | "timestamp with time zone" => Self::Moment,
            _ if base == "citext" || base.ends_with(".citext") => Self::Text(Text::NoCase),
            _ => Self::Other,
        }
    }
}

impl Text {
    /// The value of the column `quoted` as text that is the same whenever the type takes two
    /// values for the same: the blanks at the end of a `character` go, and so do the capitals of
    /// a `citext`. Under the collation "C", so that no other can change what is done with it.
    pub(super) fn value(self, quoted: &str) -> String {
        match self {
            Self::Plain => format!("{quoted}::pg_catalog.text collate pg_catalog.\"C\""),
            Self::NoCase => format!(
                "pg_catalog.lower({quoted}::pg_catalog.text collate pg_catalog.\"default\") \
                 collate pg_catalog.\"C\""
            ),
        }
    }
}

/// How many characters fit in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Any number.
    Endless,
    /// So many.
    Limited(u32),
    /// A domain over a type that can have a limit; the limit is not seen from here.
    Unknown,
}

impl Room {
    pub(super) fn of(column: &MaskedColumn<'_>) -> Self {
        let base = column.base_name;
        if !matches!(base, "character varying" | "character" | "bpchar") {
            return Self::Endless;
        }
        match column.type_name.strip_prefix(base) {
            Some("") => Self::Endless,
            Some(modifier) => modifier
                .strip_prefix('(')
                .and_then(|m| m.strip_suffix(')'))
                .and_then(|m| m.parse().ok())
                .map_or(Self::Unknown, Self::Limited),
            None if column.type_name == "bpchar" => Self::Endless,
            None => Self::Unknown,
        }
    }

    /// `wanted`, or fewer where fewer fit.
    pub(super) fn at_most(self, wanted: u32) -> u32 {
        match self {
            Self::Limited(limit) => wanted.min(limit),
            Self::Endless | Self::Unknown => wanted,
        }
    }
}

/// Makes sure that `wanted` characters fit: a cast would cut them off in silence.
///
/// # Errors
/// A refusal.
pub(super) fn require_room(mask: &Mask, column: &MaskedColumn<'_>, wanted: u32) -> Result<()> {
    match Room::of(column) {
        Room::Endless => Ok(()),
        Room::Limited(limit) if wanted <= limit => Ok(()),
        Room::Limited(limit) => Err(refusal(
            mask,
            column,
            &format!("it takes {wanted} characters, and {limit} fit"),
        )
        .hint("mask it with an expression of its own: sql = \"…\"")),
        Room::Unknown => Err(refusal(
            mask,
            column,
            &format!(
                "how many characters fit in a domain over {} is not known",
                column.base_name
            ),
        )
        .hint("mask it with an expression of its own: sql = \"…\"")),
    }
}

/// The name of the encoding that text is stored in. To bring text into that one is no conversion,
/// so it cannot fail; into UTF8 it does, in a database in `SQL_ASCII`.
pub(super) const ENCODING: &str = "pg_catalog.getdatabaseencoding()";

/// An expression for the 32 bytes that a value and the salt give.
pub(super) struct Digest(pub(super) String);

impl Digest {
    /// Of an expression of type text.
    pub(super) fn of_text(text: &str) -> Self {
        Self::of_bytes(&format!("pg_catalog.convert_to({text}, {ENCODING})"))
    }

    /// Of an expression of type bytea.
    pub(super) fn of_bytes(bytes: &str) -> Self {
        // Not md5, which servers that must keep to FIPS 140 refuse.
        Self(format!(
            "pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.current_setting('{SALT}') || ':', \
             {ENCODING}) || {bytes})"
        ))
    }

    /// The first `digits` hexadecimal digits.
    pub(super) fn hex(&self, digits: u32) -> String {
        format!(
            "pg_catalog.left(pg_catalog.encode({}, 'hex'), {digits})",
            self.0
        )
    }
}

/// An expression for the number, from 0 and of type bigint, that the first 32 bits of `bytes`
/// are.
pub(super) fn number(bytes: &str) -> String {
    format!(
        "('x' || pg_catalog.encode(pg_catalog.substr({bytes}, 1, 4), 'hex'))\
         ::pg_catalog.bit(32)::pg_catalog.int8"
    )
}

/// `type_name`, whose quoted parts may have to be escaped.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn type_name(type_name: &str, names: Names) -> Result<String> {
    if names.carries(type_name) {
        return Ok(type_name.to_owned());
    }
    let mut out = String::new();
    let mut rest = type_name;
    while let Some((before, after)) = rest.split_once('"') {
        out.push_str(before);
        let end = closing_quote(after);
        out.push_str(&names.ident(&after[..end].replace("\"\"", "\""))?);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the quoted name that `text` begins with ends.
fn closing_quote(text: &str) -> usize {
    let mut at = 0;
    while let Some(found) = text[at..].find('"') {
        at += found;
        if !text[at + 1..].starts_with('"') {
            return at;
        }
        at += 2;
    }
    text.len()
}
