//! Each form of statement that names roles.

use super::super::RoleMap;
use super::super::roles::Mapped;

fn mapped(statement: &str) -> Option<String> {
    let map = RoleMap::default()
        .rename("old", "New Role")
        .leave_out("gone");
    match map.apply(statement).expect(statement) {
        Mapped::Same => Some(statement.to_owned()),
        Mapped::Changed(text) => Some(text),
        Mapped::LeftOut(_) => None,
    }
}

#[test]
fn a_role_is_renamed_where_it_stands_as_one() {
    for (before, after) in [
        (
            "ALTER TABLE old.old OWNER TO old",
            "ALTER TABLE old.old OWNER TO \"New Role\"",
        ),
        (
            "ALTER FUNCTION f(old integer) OWNER TO \"old\"",
            "ALTER FUNCTION f(old integer) OWNER TO \"New Role\"",
        ),
        (
            "GRANT SELECT(old) ON TABLE old TO old",
            "GRANT SELECT(old) ON TABLE old TO \"New Role\"",
        ),
        (
            "GRANT ALL ON t TO a,old WITH GRANT OPTION",
            "GRANT ALL ON t TO a, \"New Role\" WITH GRANT OPTION",
        ),
        ("GRANT ALL ON t TO a,gone,b", "GRANT ALL ON t TO a, b"),
        (
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        ),
        (
            "REVOKE ALL ON t FROM old CASCADE",
            "REVOKE ALL ON t FROM \"New Role\" CASCADE",
        ),
        ("GRANT old TO b GRANTED BY gone", "GRANT \"New Role\" TO b "),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE old IN SCHEMA s GRANT SELECT ON TABLES TO old",
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"New Role\" IN SCHEMA s GRANT SELECT ON TABLES TO \"New Role\"",
        ),
        (
            "SET SESSION AUTHORIZATION 'old'",
            "SET SESSION AUTHORIZATION \"New Role\"",
        ),
        ("CREATE SCHEMA s AUTHORIZATION gone", "CREATE SCHEMA s "),
        (
            "CREATE SCHEMA old AUTHORIZATION old",
            "CREATE SCHEMA old AUTHORIZATION \"New Role\"",
        ),
        (
            "CREATE POLICY old ON old TO old USING (a = 'old')",
            "CREATE POLICY old ON old TO \"New Role\" USING (a = 'old')",
        ),
        (
            "CREATE USER MAPPING FOR old SERVER s",
            "CREATE USER MAPPING FOR \"New Role\" SERVER s",
        ),
        (
            "CREATE TABLE old (old text DEFAULT 'OWNER TO old')",
            "CREATE TABLE old (old text DEFAULT 'OWNER TO old')",
        ),
        (
            "INSERT INTO t VALUES ('GRANT old TO gone')",
            "INSERT INTO t VALUES ('GRANT old TO gone')",
        ),
        (
            "CREATE FUNCTION f() RETURNS text AS 'GRANT ALL ON t TO gone'",
            "CREATE FUNCTION f() RETURNS text AS 'GRANT ALL ON t TO gone'",
        ),
        ("COMMENT ON ROLE x IS 'old'", "COMMENT ON ROLE x IS 'old'"),
    ] {
        assert_eq!(mapped(before).as_deref(), Some(after), "{before}");
    }
}

#[test]
fn a_statement_goes_with_its_only_role() {
    for statement in [
        "ALTER TABLE public.t OWNER TO cloudsqlsuperuser",
        "ALTER SCHEMA public OWNER TO \"rds_superuser\"",
        "GRANT ALL ON SCHEMA public TO azure_superuser",
        "GRANT gone TO b",
        "GRANT b TO GROUP gone",
        "REVOKE ALL ON t FROM gone",
        "ALTER DEFAULT PRIVILEGES FOR ROLE gone GRANT SELECT ON TABLES TO b",
        "ALTER DEFAULT PRIVILEGES FOR ROLE b REVOKE ALL ON TABLES FROM gone",
        "SET SESSION AUTHORIZATION 'gone'",
        "SET ROLE gone",
        "CREATE POLICY p ON t TO gone USING (true)",
        "DROP USER MAPPING FOR gone SERVER s",
    ] {
        assert_eq!(mapped(statement), None, "{statement}");
    }
    let e = RoleMap::default().apply("CREATE SCHEMA AUTHORIZATION rdsadmin");
    assert!(e.expect_err("no name is left").is_refusal());
}

#[test]
fn a_managed_role_may_be_given_another_name() {
    let map = RoleMap::default().rename("cloudsqlsuperuser", "postgres");
    let found = map.apply("ALTER TABLE t OWNER TO cloudsqlsuperuser");
    let expected = Mapped::Changed("ALTER TABLE t OWNER TO \"postgres\"".to_owned());
    assert_eq!(found.expect("mapped"), expected);
}
