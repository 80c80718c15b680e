//! Values from the binary form of COPY in the text form, and rows of either form as lines.
//!
//! A value is written as the server that sent it writes it with the settings that sessions which
//! carry rows have: ISO dates, the interval style `postgres`, UTC, `lc_monetary` C, numbers with
//! all their digits, bytes in hexadecimal. With the same settings it is read again as the same
//! value. The forms are those of the send and output functions in `src/backend/utils/adt`; what
//! none of them would send is damage.

mod arrays;
mod cursor;
mod encoding;
mod floats;
mod letters;
mod lines;
mod net;
mod numbers;
mod rows;
mod strings;
#[cfg(test)]
mod tests;
mod times;

pub(super) use encoding::ToUtf8;
#[cfg(test)]
pub(super) use letters::ENCODINGS;
pub(super) use lines::{Layout, Lines};
pub(super) use rows::Rows;

use crate::error::{Error, Result};

/// What differs between the servers that values come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Intervals may be infinite, since PostgreSQL 17.
    pub(super) infinite_intervals: bool,
    /// A `"char"` above 127 is written as a backslash and three octal digits, since PostgreSQL 15,
    /// and not as the byte that it is.
    pub(super) octal_chars: bool,
}

impl Dialect {
    /// As a server of that version writes values itself.
    pub(super) fn of(server_version: u32) -> Self {
        Self {
            infinite_intervals: server_version >= 170_000,
            octal_chars: server_version >= 150_000,
        }
    }
}

/// What a binary value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A built-in type.
    One(Scalar),
    /// An array of a built-in type.
    Array(Scalar),
}

/// The built-in types that are carried in binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Bytea,
    Char,
    Name,
    Int8,
    Int2,
    Int4,
    Text,
    Oid,
    Json,
    Cidr,
    Float4,
    Float8,
    Macaddr8,
    Money,
    Macaddr,
    Inet,
    Bpchar,
    Varchar,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Timetz,
    Bit,
    Varbit,
    Numeric,
    Uuid,
    Jsonb,
}

/// Every type by its oid and by the name that `format_type` gives it.
pub(super) const SCALARS: [(Scalar, u32, &str); 30] = [
    (Scalar::Bool, 16, "boolean"),
    (Scalar::Bytea, 17, "bytea"),
    (Scalar::Char, 18, "\"char\""),
    (Scalar::Name, 19, "name"),
    (Scalar::Int8, 20, "bigint"),
    (Scalar::Int2, 21, "smallint"),
    (Scalar::Int4, 23, "integer"),
    (Scalar::Text, 25, "text"),
    (Scalar::Oid, 26, "oid"),
    (Scalar::Json, 114, "json"),
    (Scalar::Cidr, 650, "cidr"),
    (Scalar::Float4, 700, "real"),
    (Scalar::Float8, 701, "double precision"),
    (Scalar::Macaddr8, 774, "macaddr8"),
    (Scalar::Money, 790, "money"),
    (Scalar::Macaddr, 829, "macaddr"),
    (Scalar::Inet, 869, "inet"),
    (Scalar::Bpchar, 1042, "character"),
    (Scalar::Varchar, 1043, "character varying"),
    (Scalar::Date, 1082, "date"),
    (Scalar::Time, 1083, "time without time zone"),
    (Scalar::Timestamp, 1114, "timestamp without time zone"),
    (Scalar::Timestamptz, 1184, "timestamp with time zone"),
    (Scalar::Interval, 1186, "interval"),
    (Scalar::Timetz, 1266, "time with time zone"),
    (Scalar::Bit, 1560, "bit"),
    (Scalar::Varbit, 1562, "bit varying"),
    (Scalar::Numeric, 1700, "numeric"),
    (Scalar::Uuid, 2950, "uuid"),
    (Scalar::Jsonb, 3802, "jsonb"),
];

impl Scalar {
    /// Its oid, by which arrays name their elements.
    fn oid(self) -> u32 {
        SCALARS[self as usize].1
    }

    /// Adds the text form of `value` to `out`.
    fn write(self, value: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Bool => numbers::boolean(value, out),
            Self::Int2 => numbers::int2(value, out),
            Self::Int4 => numbers::int4(value, out),
            Self::Int8 => numbers::int8(value, out),
            Self::Oid => numbers::oid(value, out),
            Self::Money => numbers::money(value, out),
            Self::Numeric => numbers::numeric(value, out),
            Self::Float4 => floats::float4(value, out),
            Self::Float8 => floats::float8(value, out),
            Self::Name | Self::Text | Self::Json | Self::Bpchar | Self::Varchar => {
                out.extend_from_slice(value);
                Ok(())
            }
            Self::Bytea => strings::bytea(value, out),
            Self::Char => strings::char(value, dialect, out),
            Self::Bit | Self::Varbit => strings::bits(value, out),
            Self::Jsonb => strings::jsonb(value, out),
            Self::Cidr => net::network(value, true, out),
            Self::Inet => net::network(value, false, out),
            Self::Macaddr => net::hardware::<6>(value, out),
            Self::Macaddr8 => net::hardware::<8>(value, out),
            Self::Uuid => net::uuid(value, out),
            Self::Date => times::date(value, out),
            Self::Time => times::time(value, out),
            Self::Timetz => times::timetz(value, out),
            Self::Timestamp => times::timestamp(value, "", out),
            Self::Timestamptz => times::timestamp(value, "+00", out),
            Self::Interval => times::interval(value, dialect, out),
        }
    }
}

impl Type {
    /// The type that a manifest calls `base`.
    ///
    /// # Errors
    /// Values of it are carried in text form alone, so the manifest is damaged.
    pub(super) fn of(base: &str) -> Result<Self> {
        let (name, array) = match base.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (base, false),
        };
        let (scalar, ..) = SCALARS
            .iter()
            .find(|(_, _, known)| *known == name)
            .ok_or_else(|| Error::corrupt(format!("no value of type {base} has a binary form")))?;
        Ok(if array {
            Self::Array(*scalar)
        } else {
            Self::One(*scalar)
        })
    }

    /// Whether it is, or holds, a `"char"`.
    pub(super) fn holds_char(self) -> bool {
        matches!(self, Self::One(Scalar::Char) | Self::Array(Scalar::Char))
    }

    /// Adds the text form of `value` to `out`.
    ///
    /// # Errors
    /// It is no value of this type.
    pub(super) fn write(self, value: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::One(scalar) => scalar.write(value, dialect, out),
            Self::Array(element) => arrays::array(value, element, dialect, out),
        }
    }
}
