use super::*;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folders");
        std::fs::write(path, "select 1;").expect("file");
    }
    dir
}

fn expanded(files: &[&str], patterns: &[&str], order: FileOrder) -> Result<OrderedFiles> {
    let dir = folder(files);
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    expand(dir.path(), &patterns, order)
}

fn paths(files: &[&str], patterns: &[&str], order: FileOrder) -> Vec<String> {
    expanded(files, patterns, order).expect("paths").paths
}

fn refusal(files: &[&str], patterns: &[&str], order: FileOrder) -> String {
    let error = expanded(files, patterns, order).expect_err("refused");
    assert!(error.is_refusal());
    error.to_string()
}

use FileOrder::{Flyway, Lexicographic, Numbered};

#[test]
fn names_are_compared_byte_by_byte_over_all_patterns() {
    let files = [
        "s/b.sql",
        "s/a.sql",
        "s/B.sql",
        "t/a.sql",
        "s/deep/c.sql",
        "s/.a.sql",
    ];
    assert_eq!(
        paths(&files, &["t/*.sql", "./s/*.sql", "s/a*"], Lexicographic),
        ["s/B.sql", "s/a.sql", "s/b.sql", "t/a.sql"]
    );
    assert_eq!(paths(&files, &["s/**/*.sql"], Lexicographic).len(), 4);
    assert_eq!(paths(&files, &["s/.*.sql"], Lexicographic), ["s/.a.sql"]);
    assert_eq!(paths(&files, &["s/a.sql"], Lexicographic), ["s/a.sql"]);
    assert_eq!(
        paths(&files, &["s/{b,a}.sql"], Lexicographic),
        ["s/a.sql", "s/b.sql"]
    );
}

#[test]
fn patterns_that_match_nothing_or_leave_the_folder_are_refused() {
    let files = ["s/a.sql"];
    for (pattern, why) in [
        ("s/*.psql", "matches no file"),
        ("missing/*.sql", "matches no file"),
        ("s", "matches no file"),
        ("../*.sql", "leaves the folder"),
        ("s/../../*.sql", "leaves the folder"),
        ("/etc/*.sql", "leaves the folder"),
        ("", "names no file"),
        ("s/[", "is not valid"),
    ] {
        let message = refusal(&files, &[pattern], Lexicographic);
        assert!(message.contains(why), "{pattern}: {message}");
    }
    let message = refusal(&files, &["s/*.sql", "t/*.sql"], Lexicographic);
    assert!(message.contains("t/*.sql"), "{message}");
}

#[test]
fn numbers_are_compared_as_numbers() {
    assert_eq!(
        paths(
            &[
                "10_b.sql",
                "2_a.sql",
                "0003.sql",
                "99999999999999999999999999999999999999999.sql"
            ],
            &["*.sql"],
            Numbered
        ),
        [
            "2_a.sql",
            "0003.sql",
            "10_b.sql",
            "99999999999999999999999999999999999999999.sql"
        ]
    );
    assert!(refusal(&["1_a.sql", "x/01_b.sql"], &["**/*.sql"], Numbered).contains("same number"));
    assert!(refusal(&["a.sql"], &["*.sql"], Numbered).contains("does not begin with a number"));
}

#[test]
fn flyway_orders_versions_then_repeatables() {
    let dir = folder(&[
        "R__b.sql",
        "R__a.sql",
        "V2_1__x.sql",
        "V10__y.sql",
        "V2__z.sql",
        "V2.0.1__w.sql",
        "U2__z.sql",
    ]);
    let found = expand(dir.path(), &["*.sql".into()], Flyway).expect("paths");
    assert_eq!(
        found.paths,
        [
            "V2__z.sql",
            "V2.0.1__w.sql",
            "V2_1__x.sql",
            "V10__y.sql",
            "R__a.sql",
            "R__b.sql"
        ]
    );
    assert_eq!(found.notes, ["U2__z.sql undoes a version and was left out"]);
}

#[test]
fn flyway_refuses_what_it_cannot_place() {
    for name in [
        "V1_x.sql",
        "v1__x.sql",
        "V__x.sql",
        "V1..2__x.sql",
        "Va__x.sql",
        "x.sql",
        "V1__x.txt",
        "R1__x.sql",
        "B1__x.sql",
        "é__x.sql",
    ] {
        let message = refusal(&[name], &["*"], Flyway);
        assert!(message.contains("not named as Flyway"), "{message}");
    }
    assert!(refusal(&["V1__a.sql", "V1.0__b.sql"], &["*"], Flyway).contains("same version"));
    assert!(refusal(&["a/R__a.sql", "b/R__a.sql"], &["*/*"], Flyway).contains("same description"));
}

#[cfg(unix)]
#[test]
fn symbolic_links_stay_inside() {
    use std::os::unix::fs::symlink;
    let outside = folder(&["x.sql"]);
    let dir = folder(&["s/a.sql", "other/b.sql"]);
    let patterns = ["s/*.sql".to_owned()];
    symlink(dir.path().join("other/b.sql"), dir.path().join("s/b.sql")).expect("link");
    symlink(dir.path().join("other"), dir.path().join("s/more")).expect("link");
    let found = expand(dir.path(), &patterns, Lexicographic).expect("paths");
    assert_eq!(found.paths, ["s/a.sql", "s/b.sql"]);
    assert_eq!(
        found.notes,
        ["s/more is a symbolic link to a folder and was not searched"]
    );

    symlink(outside.path().join("x.sql"), dir.path().join("s/x.sql")).expect("link");
    let error = expand(dir.path(), &patterns, Lexicographic).expect_err("refused");
    assert!(error.to_string().contains("outside"), "{error}");

    symlink(outside.path(), dir.path().join("away")).expect("link");
    let error = expand(dir.path(), &["away/*.sql".into()], Lexicographic).expect_err("refused");
    assert!(error.to_string().contains("outside"), "{error}");
}
