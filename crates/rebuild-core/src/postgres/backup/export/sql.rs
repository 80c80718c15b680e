//! The whole backup as one file of SQL.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::Export;
use super::folder::Folder;
use super::rows::{Progress, TableOut};
use crate::error::Result;
use crate::model::RowForm;
use crate::postgres::backup::contents::public_rights_sql;
use crate::postgres::backup::layout::{
    DATABASE, LARGE_OBJECTS, POST_DATA, PRE_DATA, REFRESH, ROLES_SQL, SEQUENCES,
};
use crate::postgres::backup::manifest::TableEntry;
use crate::postgres::backup::script::{SETTINGS, copy_in};
use crate::postgres::backup::text::{Dialect, Layout, Lines, Rows};
use crate::postgres::restore::for_a_session;
use crate::postgres::rows::names::Names;
use crate::postgres::schema::split;
use crate::postgres::{literal, qualified};
use crate::traits::BackupMode;

/// Longer names are no names for files everywhere.
const LONGEST_NAME: usize = 80;

impl Export<'_> {
    /// Writes the file: what `restore.sh` in the backup does, in its order, with rows in COPY's text
    /// form; and the rights of PUBLIC that newer versions of pg_dump leave out for older servers.
    ///
    /// # Errors
    /// Something in the backup is damaged; the folder cannot be written.
    pub(super) async fn sql(&self, folder: &mut Folder) -> Result<()> {
        let full = self.manifest.mode == BackupMode::Full;
        let name = self.file_name();
        let mut file = folder.begin()?;
        file.write_all(self.head(&name).as_bytes())?;
        // Before roles are made on a server that this was not meant for.
        write!(file, "\n\\if :{{?database}}\n\\else\n{GUARD}\\endif\n")?;
        self.script(ROLES_SQL, &mut file).await?;
        file.write_all(b"\n\\if :{?database}\n")?;
        self.script(DATABASE, &mut file).await?;
        write!(file, "{ELSEWHERE}{GUARD}")?;
        self.schema(PRE_DATA, &mut file).await?;
        // Before there are event triggers, which would see it.
        for statement in public_rights_sql(self.manifest)? {
            writeln!(file, "{statement};")?;
        }
        if full {
            file = self.all_rows(file).await?;
            self.script(SEQUENCES, &mut file).await?;
            if self.manifest.file(LARGE_OBJECTS).is_ok() {
                self.script(LARGE_OBJECTS, &mut file).await?;
            }
        }
        self.schema(POST_DATA, &mut file).await?;
        if full {
            self.script(REFRESH, &mut file).await?;
        }
        writeln!(file, "\n-- The end: {name} is whole.")?;
        let path = folder.finish(file, &name).await?;
        folder.written.push(path);
        Ok(())
    }

    /// The name of the database where every file system takes it, otherwise the backup's id.
    fn file_name(&self) -> String {
        let database = &self.manifest.of.name;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let begins = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let begins = database.as_bytes().first().is_some_and(begins);
        if begins && database.len() <= LONGEST_NAME && database.bytes().all(plain) {
            format!("{database}.sql")
        } else {
            format!("{}.sql", self.manifest.id)
        }
    }

    fn head(&self, name: &str) -> String {
        let manifest = self.manifest;
        let rows: u64 = manifest.tables.iter().map(|t| t.rows).sum();
        let what = match manifest.mode {
            BackupMode::Full => format!("{} tables, {rows} rows", manifest.tables.len()),
            _ => "the schema alone, without rows".to_owned(),
        };
        HEAD.replace("@ID@", manifest.id.as_str())
            .replace("@WHAT@", &what)
            .replace("@TAKEN@", &manifest.taken_at.to_string())
            .replace("@VERSION@", &(manifest.server_version / 10_000).to_string())
            .replace("@FILE@", name)
            // These may hold anything, and are escaped so that they stay in their lines.
            .replace("@ENCODING@", &format!("{:?}", manifest.encoding))
            .replace("@DATABASE@", &format!("{:?}", manifest.of.name))
    }

    /// A script of the backup, in a session that is as it was in the beginning.
    async fn script(&self, script: &str, file: &mut BufWriter<File>) -> Result<()> {
        begin_part(script, file)?;
        self.stored(script, file).await?;
        file.write_all(b"\n")?;
        Ok(())
    }

    /// A script of pg_dump, in which nothing is said to psql: a name may hold what looks like a command.
    async fn schema(&self, script: &str, file: &mut BufWriter<File>) -> Result<()> {
        begin_part(script, file)?;
        let sql = self.shelf.text(self.manifest, script).await?;
        let sql = for_a_session(&sql);
        let whole = split(&sql).map_err(|fault| fault.in_file(script));
        whole.map_err(|e| e.context(format!("could not export {script}")))?;
        writeln!(file, "{sql}")?;
        Ok(())
    }

    async fn all_rows(&self, mut file: BufWriter<File>) -> Result<BufWriter<File>> {
        let progress = Progress::of(&self.manifest.tables);
        let encoding = &self.manifest.encoding;
        begin_part("the rows", &mut file)?;
        writeln!(file, "set client_encoding = {};", literal(encoding)?)?;
        let tables = self.manifest.tables.iter();
        for table in tables.filter(|t| t.rows > 0 || t.condition.is_some()) {
            self.ctx.check_stop("the export")?;
            if let Some(condition) = &table.condition {
                // The extension was made with rows of its own.
                let name = qualified(&table.table)?;
                writeln!(file, "\nset client_encoding = 'UTF8';")?;
                writeln!(file, "delete from only {name} {condition};")?;
                writeln!(file, "set client_encoding = {};", literal(encoding)?)?;
            }
            if table.rows == 0 {
                continue;
            }
            let rows = Rows::of(table, self.dialect(), None)
                .map_err(|e| e.context(format!("could not export table {}", table.table)))?;
            let copy = copy_in(Names::under(encoding), table, RowForm::Text)?;
            writeln!(file, "\n{copy};")?;
            let lines = Lines::new(Layout::Copy, table.columns.len());
            let out = TableOut::new(table, rows, lines, file);
            let out = self.rows(table, out, &progress).await?;
            file = out.file;
            file.write_all(b"\\.\n")?;
            if out.rows.has_octal_chars() {
                file.write_all(require_octal_chars(table)?.as_bytes())?;
            }
        }
        Ok(file)
    }

    /// A `"char"` above 127 is a byte where each letter is one. Elsewhere it is no text, and only
    /// newer servers have another way to write it.
    fn dialect(&self) -> Dialect {
        let encoding = self.manifest.encoding.as_str();
        let many_bytes =
            matches!(encoding, "UTF8" | "MULE_INTERNAL") || encoding.starts_with("EUC_");
        Dialect {
            octal_chars: many_bytes || self.manifest.server_version >= 150_000,
            ..Dialect::of(self.manifest.server_version)
        }
    }
}

/// Settings that the part before has made are gone, those that rows and statements need are there.
fn begin_part(what: &str, file: &mut BufWriter<File>) -> Result<()> {
    writeln!(file, "\n-- {what}\n\nreset all;")?;
    for (name, value) in SETTINGS {
        writeln!(file, "set {name} = {};", setting(value)?)?;
    }
    writeln!(file, "set client_encoding = 'UTF8';")?;
    // From version 17 on there is one.
    writeln!(
        file,
        "select pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings \
         where name = 'transaction_timeout';"
    )?;
    Ok(())
}

/// A value with a comma in it is a list.
fn setting(value: &str) -> Result<String> {
    let values: Vec<String> = value.split(',').map(literal).collect::<Result<_>>()?;
    Ok(values.join(", "))
}

fn require_octal_chars(table: &TableEntry) -> Result<String> {
    let why = format!(
        "rows of {} hold a \"char\" above 127, which servers before 15 cannot read",
        table.table
    );
    // In an encoding of many bytes, a statement may be ASCII alone.
    let why: String = why
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .collect();
    Ok(format!(
        "do {} begin if pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 150000 \
         then raise exception using message = {}; end if; end {};\n",
        "$guard$",
        literal(&why.replace('$', " "))?,
        "$guard$"
    ))
}

const HEAD: &str = r#"-- Backup @ID@ of the database @DATABASE@, taken at @TAKEN@:
-- @WHAT@.
--
-- Into a database that is there and empty, on a server of version @VERSION@ or newer:
--
--   psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -d NEW -f @FILE@
--
-- Into one that is made first, with its locale, settings and rights (it was in @ENCODING@):
--
--   psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -v database=NEW -d postgres -f @FILE@
--
-- As a superuser. Missing roles are made, without passwords. It stops at the first error; drop the
-- database before you try again. Without its last line, "The end", the file is not whole.
"#;

/// psql takes a name with an equals sign in it for a connection string
/// (<https://www.postgresql.org/docs/current/app-psql.html>), so it gets one. A word of the schema may look
/// like a variable.
const ELSEWHERE: &str = r#"
select pg_catalog.format('dbname=''%s''',
    pg_catalog.regexp_replace(:'database', '([\\''])', '\\\1', 'g')) as rebuild_target \gset
\connect -reuse-previous=on :"rebuild_target"
\unset rebuild_target
\unset database
\endif
"#;

const GUARD: &str = r#"
do $guard$
begin
    if exists (
        select from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
           and not exists (
                select from pg_catalog.pg_depend d
                 where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   and d.objid = c.oid and d.deptype = 'e'))
    then
        raise exception 'the database % is not empty', pg_catalog.current_database();
    end if;
end
$guard$;
"#;
