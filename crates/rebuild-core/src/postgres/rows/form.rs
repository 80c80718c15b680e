//! Which form of COPY fits a table.

use crate::model::RowForm;

/// The built-in types whose binary form is the same bytes for the same value on every supported
/// version (13 to 18) and every machine, by oid; arrays of them count too. Their send and receive
/// functions neither depend on a session setting nor carry an oid that could differ elsewhere.
///
/// Left out on purpose, although they are built in: `xml` (its declaration depends on the
/// encoding), the `reg…` types (an oid), composite types and arrays of user-defined types (they
/// carry oids), ranges, `tsvector`, `tsquery` and geometric types (their text form is exact).
/// `money` is in: its text form depends on `lc_monetary`, its binary form does not. Enums are
/// sent as their label, and a domain as the type it is made of, so both follow what they hold.
///
/// See <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT> and the
/// send functions in `src/backend/utils/adt`.
const BINARY: &[u32] = &[
    16,   // bool
    17,   // bytea
    18,   // "char"
    19,   // name
    20,   // int8
    21,   // int2
    23,   // int4
    25,   // text
    26,   // oid
    114,  // json
    650,  // cidr
    700,  // float4
    701,  // float8
    774,  // macaddr8
    790,  // money
    829,  // macaddr
    869,  // inet
    1042, // bpchar
    1043, // varchar
    1082, // date
    1083, // time
    1114, // timestamp
    1184, // timestamptz
    1186, // interval
    1266, // timetz
    1560, // bit
    1562, // varbit
    1700, // numeric
    2950, // uuid
    3802, // jsonb
];

/// What the type of a column comes down to, once domains are taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaseType {
    /// A type by oid.
    Plain(u32),
    /// An array, by the oid of its elements.
    ArrayOf(u32),
    /// An enum.
    Enum,
}

impl BaseType {
    fn has_stable_binary_form(self) -> bool {
        match self {
            Self::Plain(oid) | Self::ArrayOf(oid) => BINARY.contains(&oid),
            Self::Enum => true,
        }
    }
}

/// The form for a table with columns of these types: binary if that is stable for all of them.
pub(crate) fn form_for(types: impl IntoIterator<Item = BaseType>) -> RowForm {
    if types.into_iter().all(BaseType::has_stable_binary_form) {
        RowForm::Binary
    } else {
        RowForm::Text
    }
}

/// The `WITH` clause of COPY for `form`.
pub(crate) fn copy_options(form: RowForm) -> &'static str {
    match form {
        RowForm::Text => "(format text)",
        RowForm::Binary => "(format binary)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_column_without_a_stable_form_makes_the_table_text() {
        use BaseType::{ArrayOf, Enum, Plain};
        assert_eq!(form_for([]), RowForm::Binary);
        assert_eq!(form_for([Plain(23), ArrayOf(25), Enum]), RowForm::Binary);
        assert_eq!(form_for([Plain(23), Plain(142)]), RowForm::Text);
        assert_eq!(form_for([ArrayOf(16_400)]), RowForm::Text);
    }

    #[test]
    fn the_list_is_sorted_so_that_a_double_is_seen() {
        assert!(BINARY.is_sorted_by(|a, b| a < b));
    }
}
