//! A switch around the code of each guard.

use std::path::Path;

use crate::list::{Cut, Guard};

/// The variable that has the name of the guard that is out.
pub const VARIABLE: &str = "WITHOUT_GUARD";

/// The text of `file` with a switch around each guard that is in it.
///
/// # Errors
///
/// Code that is not there, or more than once, or in a piece that another guard has already.
pub fn with_switches(file: &Path, text: &str, guards: &[Guard]) -> Result<String, String> {
    let mut pieces = Vec::new();
    for guard in guards {
        for cut in guard.cuts.iter().filter(|cut| cut.file == file) {
            let at = place(cut, text).map_err(|e| format!("{}: {e}", guard.name()))?;
            pieces.push((at, cut, guard));
        }
    }
    pieces.sort_by_key(|(at, ..)| *at);
    let mut out = String::new();
    let mut end = 0;
    for (at, cut, guard) in pieces {
        if at < end {
            return Err(format!("{}: {:?}: is another's", file.display(), cut.code));
        }
        out += &text[end..at];
        out += &switched(cut, &guard.name());
        end = at + cut.code.trim().len();
    }
    out += &text[end..];
    Ok(out)
}

/// Where the code of `cut` is, from the beginning of `text`.
///
/// # Errors
///
/// It is not there, or more than once.
pub fn place(cut: &Cut, text: &str) -> Result<usize, String> {
    let code = cut.code.trim();
    let mut found = text.match_indices(code);
    match (found.next(), found.next()) {
        (Some((at, _)), None) if !code.is_empty() => Ok(at),
        (None, _) => Err(format!("{}: {code:?} is not there", cut.file.display())),
        _ => Err(format!(
            "{}: {code:?} is not there once",
            cut.file.display()
        )),
    }
}

fn switched(cut: &Cut, guard: &str) -> String {
    let out = switch(guard);
    let code = cut.code.trim();
    let Some(instead) = &cut.instead else {
        return format!("if !{out} {{ {code} }}");
    };
    let choice = format!("if {out} {{ {} }} else {{ {code} }}", instead.trim());
    // A statement has no parentheses around it, and as an operand it must have.
    if code.ends_with([';', '}']) {
        choice
    } else {
        format!("({choice})")
    }
}

/// True where the guard is out. It goes by its name: another guard in the list changes no other's code.
fn switch(guard: &str) -> String {
    format!("::std::env::var_os({VARIABLE:?}).is_some_and(|it| it == {guard:?})")
}

#[cfg(test)]
mod test {
    use super::*;

    fn guard(what: &str, code: &str, instead: Option<&str>) -> Guard {
        Guard {
            hazards: vec!["H-01".into()],
            what: what.into(),
            test: "it_is".into(),
            cuts: vec![Cut {
                file: "a.rs".into(),
                code: code.into(),
                instead: instead.map(str::to_owned),
            }],
        }
    }

    fn switches(text: &str, guards: &[Guard]) -> Result<String, String> {
        with_switches(Path::new("a.rs"), text, guards)
    }

    #[test]
    fn statements_and_expressions_get_their_switch() {
        let guards = [
            guard("one", "\n  look()?;\n", None),
            guard("two", "a == b", Some("true")),
        ];
        let text = switches("if a == b { look()?; }", &guards).expect("switches");
        let wanted = format!(
            "if (if {} {{ true }} else {{ a == b }}) {{ if !{} {{ look()?; }} }}",
            switch("H-01: two"),
            switch("H-01: one")
        );
        assert_eq!(text, wanted);
    }

    #[test]
    fn what_is_not_there_once_or_belongs_to_two_is_an_error() {
        let cases: [(&str, &[Guard]); 4] = [
            ("f();", &[guard("one", "look();", None)]),
            ("look(); look();", &[guard("one", "look();", None)]),
            (
                "look();",
                &[
                    guard("one", "look();", None),
                    guard("two", "look()", Some("0")),
                ],
            ),
            ("look();", &[guard("one", " ", None)]),
        ];
        for (text, guards) in cases {
            switches(text, guards).expect_err(text);
        }
    }

    #[test]
    fn files_of_others_stay_as_they_are() {
        let text = with_switches(
            Path::new("b.rs"),
            "look();",
            &[guard("one", "look();", None)],
        );
        assert_eq!(text.expect("a text"), "look();");
    }
}
