//! Names of tables, as a spec writes them.

use crate::error::Result;
use crate::model::TableName;
use crate::postgres::ident;
use crate::spec::{no_table, parts};

/// The table that `text` names: `schema.name`, each exactly as the catalog stores it, or in
/// double quotes (`"My Schema"."T"`), in which a double quote is written twice. A part that holds
/// a dot or a double quote must be quoted. Letters are never folded to lower case.
///
/// # Errors
/// Wrong input if there is no schema, or a part cannot be a name.
pub fn table_name(text: &str) -> Result<TableName> {
    let parts = parts(text)?;
    let (schema, name) = match &parts[..] {
        [schema, name] => (&schema.text, &name.text),
        [_] => return Err(no_table(text, "it has no schema")),
        _ => return Err(no_table(text, "it has more than two parts")),
    };
    ident(schema)?;
    ident(name)?;
    Ok(TableName::new(schema, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_letters() {
        for (text, schema, name) in [
            ("public.gpu", "public", "gpu"),
            ("Public.Größe", "Public", "Größe"),
            ("\"My Schema\".\"T\"", "My Schema", "T"),
            ("a b.\"x.\"\"y\"\"\"", "a b", "x.\"y\""),
        ] {
            assert_eq!(
                table_name(text).expect(text),
                TableName::new(schema, name),
                "{text}"
            );
        }
    }

    #[test]
    fn what_has_no_schema_is_refused() {
        for text in [
            "", "gpu", "\"gpu\"", ".gpu", "public.", "a.b.c", "\"a.b", "a\"b\".c", "\"\".a",
            "\"a\"b.c",
        ] {
            let error = table_name(text).expect_err(text);
            assert!(
                error.to_string().contains("does not name a table"),
                "{error}"
            );
        }
        assert!(table_name(&format!("public.{}", "x".repeat(64))).is_err());
    }
}
