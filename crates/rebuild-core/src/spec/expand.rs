//! `${NAME}` in texts.

use crate::error::{Error, Result};

/// Replaces `${NAME}` by what `lookup` knows, and `$${` by `${`.
///
/// # Errors
/// A variable is not set, or a brace is not closed.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner
            .find('}')
            .ok_or_else(|| Error::usage("\"${\" is not closed by \"}\""))?;
        let name = &inner[..end];
        let value = lookup(name).ok_or_else(|| {
            Error::usage(format!("the environment variable {name} is not set"))
                .hint(format!("export {name}=..."))
        })?;
        out.push_str(&value);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_never_twice() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("${A}".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("plain $A {A}", "plain $A {A}"),
            ("<${A}>", "<1>"),
            ("${A}${B}", "1${A}"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
        ] {
            assert_eq!(expand(text, &lookup).expect(text), expected);
        }
        let missing = expand("${C}", &lookup).expect_err("not set");
        assert!(missing.to_string().contains(" C "));
        assert!(expand("${A", &lookup).is_err());
    }
}
