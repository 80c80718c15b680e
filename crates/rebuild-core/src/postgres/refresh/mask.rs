//! Masks: what the source gives in the place of a value that must not leave it.
//!
//! A mask is a SQL expression in the query that copies a table's rows, so the source itself
//! evaluates it. It is a function of the value and of a salt, which the expression reads from the
//! setting [`SALT`] of the session, so that the salt is in no statement's text. Which table a value
//! is in does not count: what was equal stays equal, so that joins and foreign keys still hold.

mod integers;
mod keep_format;
mod people;
mod sql;
#[cfg(test)]
mod tests;

use self::sql::{Digest, Kind, Room};
use crate::error::{Error, Result};
use crate::postgres::rows::names::Names;

/// The setting that holds the salt. A session that masks has it, and it is not empty; where it
/// was never set, the server refuses the query.
pub(crate) const SALT: &str = "rebuild.salt";

/// A hash that is cut to fewer hexadecimal digits would meet another one too soon.
const SHORTEST_HASH: u32 = 12;

/// How a column is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// Null.
    Null,
    /// One value for all, in the type's text form.
    Constant(String),
    /// Text: hexadecimal digits, as many as fit, 64 at most. Bytes: 32. A uuid: another one.
    /// Integers: a permutation within 15, 31 or 63 bits, the fewest that the value fits in, so
    /// that nothing collides and columns of different width agree; the sign stays.
    Hash,
    /// `u`, 16 hexadecimal digits, `@` and the domain.
    Email {
        /// After the `@`.
        domain: String,
    },
    /// A given name and a surname out of 4096 pairs; different values may meet.
    Name,
    /// Other ASCII digits, the rest as it is. A first digit 0 stays, and no other becomes 0.
    /// Different values may meet.
    Phone,
    /// Another day; the time of day and infinity stay.
    DateShift {
        /// By how many days at most, back or forth.
        days: u16,
        /// A column of the same table that picks the number of days; without it all rows are
        /// shifted alike.
        by: Option<String>,
    },
    /// Other ASCII digits and letters, the rest as it is. Different values stay different, and a
    /// value may by chance stay what it is, the sooner the shorter it is.
    KeepFormat,
    /// A SQL expression over the row's columns.
    Sql(String),
}

/// A column that is masked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskedColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type as SQL, as `format_type` gives it with the modifier.
    pub type_name: &'a str,
    /// The type itself, or that which its domain is over, without a modifier. An enum's is its
    /// own name.
    pub base_name: &'a str,
    /// `NOT NULL`.
    pub not_null: bool,
}

impl Mask {
    /// The expression that stands for the column in a query over its table. It is of the
    /// column's type. Of null it makes null, unless it is [`Null`](Self::Null),
    /// [`Constant`](Self::Constant) or [`Sql`](Self::Sql). Its own names hide none of the
    /// table's.
    ///
    /// # Errors
    /// A refusal if this mask cannot make a value of that type, or one that fits in it; wrong
    /// input.
    pub(crate) fn expression(&self, column: &MaskedColumn<'_>, names: Names) -> Result<String> {
        let type_name = sql::type_name(column.type_name, names)?;
        match self {
            Self::Null if column.not_null => Err(refusal(self, column, "it is NOT NULL")),
            Self::Null => Ok(format!("null::{type_name}")),
            Self::Constant(value) => {
                sql::require_room(self, column, count(value))?;
                Ok(format!("{}::{type_name}", names.literal(value)?))
            }
            Self::Sql(expression) => {
                require_expression(expression, names)?;
                // On lines of its own, for it may end in a comment.
                Ok(format!("(\n{expression}\n)::{type_name}"))
            }
            _ => {
                let quoted = names.ident(column.name)?;
                let masked = self.of_value(column, &quoted, names)?;
                Ok(format!(
                    "(case when {quoted} is not null then {masked} end)::{type_name}"
                ))
            }
        }
    }

    /// For values that are not null.
    fn of_value(&self, column: &MaskedColumn<'_>, quoted: &str, names: Names) -> Result<String> {
        let kind = Kind::of(column.base_name);
        let text = || match kind {
            Kind::Text(text) => Ok(text.value(quoted)),
            _ => Err(wrong_type(self, column, "text")),
        };
        Ok(match self {
            Self::Hash => hash(column, kind, quoted)?,
            Self::Email { domain } => {
                let value = text()?;
                require_domain(domain)?;
                sql::require_room(self, column, 18 + count(domain))?;
                let digits = Digest::of_text(&value).hex(16);
                format!("'u' || {digits} || '@{domain}'")
            }
            Self::Name => people::name(&Digest::of_text(&text()?), Room::of(column)),
            Self::Phone => phone(&text()?),
            Self::KeepFormat => match kind {
                Kind::Integer => {
                    let refused = wrong_type(self, column, "text");
                    return Err(refused.hint("\"hash\" keeps different integers different"));
                }
                _ => keep_format::permuted(&text()?),
            },
            Self::DateShift { days, by } => {
                let by = by.as_deref().map(|by| names.ident(by)).transpose()?;
                date_shift(self, column, quoted, *days, by.as_deref())?
            }
            Self::Null | Self::Constant(_) | Self::Sql(_) => {
                return Err(Error::internal("this mask does not look at the value"));
            }
        })
    }

    /// True if it needs the salt.
    pub(crate) fn uses_salt(&self) -> bool {
        !matches!(self, Self::Null | Self::Constant(_) | Self::Sql(_))
    }

    /// True if different values stay different, so that keys masked by it on both sides of a
    /// reference still are keys, and still refer to the same rows.
    pub(crate) fn keeps_keys(&self) -> bool {
        matches!(self, Self::Hash | Self::Email { .. } | Self::KeepFormat)
    }

    /// What it is called in a plan.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Constant(value) => format!("constant {value:?}"),
            Self::Hash => "hash".to_owned(),
            Self::Email { domain } => format!("email at {domain}"),
            Self::Name => "name".to_owned(),
            Self::Phone => "phone".to_owned(),
            Self::DateShift { days, by: None } => format!("date-shift by up to {days} days"),
            Self::DateShift { days, by: Some(by) } => {
                format!("date-shift by up to {days} days for each {by:?}")
            }
            Self::KeepFormat => "keep-format".to_owned(),
            Self::Sql(_) => "sql".to_owned(),
        }
    }

    /// The word for it in a spec.
    fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Constant(_) => "constant",
            Self::Hash => "hash",
            Self::Email { .. } => "email",
            Self::Name => "name",
            Self::Phone => "phone",
            Self::DateShift { .. } => "date-shift",
            Self::KeepFormat => "keep-format",
            Self::Sql(_) => "sql",
        }
    }
}

fn hash(column: &MaskedColumn<'_>, kind: Kind, quoted: &str) -> Result<String> {
    Ok(match kind {
        Kind::Text(text) => {
            sql::require_room(&Mask::Hash, column, SHORTEST_HASH)?;
            let digits = Room::of(column).at_most(64);
            Digest::of_text(&text.value(quoted)).hex(digits)
        }
        Kind::Bytes => Digest::of_bytes(quoted).0,
        Kind::Uuid => {
            let digest = Digest::of_text(&format!("{quoted}::pg_catalog.text")).0;
            // Shaped as a random one
            // (https://www.rfc-editor.org/rfc/rfc9562.html#name-uuid-version-4).
            format!(
                "(select pg_catalog.substr(x, 1, 12) || '4' || pg_catalog.substr(x, 14, 3)
                    || pg_catalog.substr('89ab', 1 + pg_catalog.get_byte(h, 8) % 4, 1)
                    || pg_catalog.substr(x, 18, 15)
                   from (select h, pg_catalog.encode(h, 'hex') as x
                           from (select {digest} as h offset 0) d offset 0) e)"
            )
        }
        Kind::Integer => integers::permuted(quoted),
        Kind::Day | Kind::Moment | Kind::Other => {
            let wanted = "text, bytea, uuid and integers";
            return Err(wrong_type(&Mask::Hash, column, wanted));
        }
    })
}

/// A digit is never the one that it was, but for a 0 at the head: there it is often no part of the
/// number.
fn phone(value: &str) -> String {
    let digest = Digest::of_text("v").0;
    format!(
        "(select coalesce(pg_catalog.string_agg(case
                    when code not between 48 and 57 or i = first and code = 48 then c
                    when i = first then pg_catalog.chr(49 + (code - 48 + byte % 8) % 9)
                    else pg_catalog.chr(48 + (code - 47 + byte % 9) % 10) end, '' order by i), '')
           from (select v, {digest} as h,
                        1 + pg_catalog.length(pg_catalog.substring(v, '^[^0-9]*')) as first
                   from (select {value} as v offset 0) t offset 0) d
          cross join lateral
                pg_catalog.unnest(pg_catalog.string_to_array(v, null)) with ordinality u (c, i)
          cross join lateral (select pg_catalog.ascii(c) as code,
                                     pg_catalog.get_byte(h, (i % 32)::pg_catalog.int4) as byte) k)"
    )
}

fn date_shift(
    mask: &Mask,
    column: &MaskedColumn<'_>,
    quoted: &str,
    days: u16,
    by: Option<&str>,
) -> Result<String> {
    if days == 0 {
        return Err(Error::usage("a date-shift by 0 days hides nothing")
            .hint("write a larger number in \"days\""));
    }
    let by = by.map_or("''".to_owned(), |by| {
        format!("coalesce({by}::pg_catalog.text, '')")
    });
    let number = sql::number("h");
    let digest = Digest::of_text(&by).0;
    let shift = format!(
        "(select case when n < 0 then n else n + 1 end
            from (select ({number} % {})::pg_catalog.int4 - {days} as n
                    from (select {digest} as h offset 0) d offset 0) e)",
        u32::from(days) * 2
    );
    match Kind::of(column.base_name) {
        Kind::Day => Ok(format!("{quoted} + {shift}")),
        Kind::Moment => Ok(format!(
            "{quoted} + pg_catalog.make_interval(days => {shift})"
        )),
        _ => Err(wrong_type(mask, column, "dates and timestamps")),
    }
}

fn require_domain(domain: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if !domain.is_empty() && domain.chars().all(fine) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{domain:?} is no domain for e-mail addresses: it may have ASCII letters, digits, dots \
         and hyphens"
    )))
}

/// Makes sure that `expression`, which somebody wrote, can be sent.
///
/// # Errors
/// It is empty, or it would mean something else in the database's encoding.
pub(super) fn require_expression(expression: &str, names: Names) -> Result<()> {
    if expression.trim().is_empty() || expression.contains('\0') {
        return Err(Error::usage(format!("{expression:?} is no SQL expression")));
    }
    if names.carries(expression) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the SQL expression {expression:?} has characters other than ASCII, and the source is not \
         in UTF8"
    ))
    .hint("write them as U&'\\00e9' or U&\"\\00e9\""))
}

fn refusal(mask: &Mask, column: &MaskedColumn<'_>, why: &str) -> Error {
    let MaskedColumn {
        name, type_name, ..
    } = column;
    let word = mask.word();
    Error::refused(format!(
        "\"{word}\" does not fit column {name:?} of type {type_name}: {why}"
    ))
}

fn wrong_type(mask: &Mask, column: &MaskedColumn<'_>, wanted: &str) -> Error {
    refusal(mask, column, &format!("it is for {wanted}"))
        .hint("mask it with an expression of its own: sql = \"…\"")
}

fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}
