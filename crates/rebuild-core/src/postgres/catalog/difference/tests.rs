//! Differences of any two catalogs.

use proptest::prelude::*;

use super::*;

/// A table: its owner, and the types of its columns by place, of which some are not there.
type Table = (bool, Vec<Option<u8>>);

const TYPES: [&str; 3] = ["integer", "text", "numeric(4,2)"];

/// A catalog of tables `s.0`, `s.1`, ... with columns, an index on each, and functions.
fn catalog() -> impl Strategy<Value = CatalogSnapshot> {
    let column = prop::option::of(0..3_u8);
    let table = (any::<bool>(), prop::collection::vec(column, 3));
    let tables = prop::collection::vec(prop::option::of(table), 3);
    let functions = prop::collection::vec(prop::option::of(0..2_u8), 2);
    (tables, functions, any::<bool>()).prop_map(|(tables, functions, backwards)| {
        let mut objects = BTreeMap::new();
        for (n, table) in tables.iter().enumerate() {
            if let Some(table) = table {
                add_table(
                    &mut objects,
                    TableName::new("s", n.to_string()),
                    table,
                    backwards,
                );
            }
        }
        for (n, body) in functions.iter().enumerate() {
            if let Some(body) = body {
                let attributes = [("definition", body.to_string())];
                let function = object("function", None, None, &attributes);
                objects.insert(format!("function s.f{n}()"), function);
            }
        }
        CatalogSnapshot { objects }
    })
}

fn object(
    kind: &str,
    table: Option<&TableName>,
    column: Option<&str>,
    attributes: &[(&str, String)],
) -> CatalogObject {
    CatalogObject {
        kind: kind.to_owned(),
        table: table.cloned(),
        column: column.map(str::to_owned),
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

fn add_table(
    objects: &mut BTreeMap<String, CatalogObject>,
    name: TableName,
    (ours, columns): &Table,
    backwards: bool,
) {
    let mut order = Vec::new();
    for (n, kind) in columns.iter().enumerate() {
        if let Some(kind) = kind {
            let column = format!("c{n}");
            let attributes = [("type", TYPES[usize::from(*kind)].to_owned())];
            let of = object("column", Some(&name), Some(&column), &attributes);
            objects.insert(format!("column {name}.{column}"), of);
            order.push(column);
        }
    }
    if backwards {
        order.reverse();
    }
    let owner = if *ours { "us" } else { "them" };
    let attributes = [("owner", owner.to_owned()), (ORDER, order.join("\n"))];
    let index = object(
        "index",
        Some(&name),
        None,
        &[("definition", owner.to_owned())],
    );
    objects.insert(format!("index i on {name}"), index);
    objects.insert(
        format!("table {name}"),
        object("table", Some(&name), None, &attributes),
    );
}

/// As seen from the other side.
fn mirrored(mut drift: Drift) -> Drift {
    let lost = drift.lost_tables.into_iter().map(|(table, _)| table);
    let lost = lost.collect();
    let new = std::mem::replace(&mut drift.new_tables, lost);
    drift.lost_tables = new.into_iter().map(|table| (table, None)).collect();
    for table in &mut drift.tables {
        std::mem::swap(&mut table.new_columns, &mut table.lost_columns);
        for (_, live, files) in &mut table.changed_columns {
            std::mem::swap(live, files);
        }
    }
    for (sign, _) in &mut drift.objects {
        *sign = match *sign {
            '+' => '-',
            '-' => '+',
            sign => sign,
        };
    }
    drift
}

proptest! {
    #[test]
    fn only_equal_catalogs_have_no_drift_and_both_ways_tell_the_same(
        live in catalog(),
        files in catalog(),
    ) {
        let drift = CatalogSnapshot::diff(&live, &files);
        prop_assert_eq!(drift.is_empty(), live == files, "{:?}", drift);
        prop_assert!(CatalogSnapshot::diff(&live, &live).is_empty());
        prop_assert_eq!(mirrored(CatalogSnapshot::diff(&files, &live)), drift);
    }

    #[test]
    fn no_table_and_no_column_is_lost_unseen(live in catalog(), files in catalog()) {
        let drift = CatalogSnapshot::diff(&live, &files);
        for (identity, object) in &live.objects {
            if files.objects.contains_key(identity) {
                continue;
            }
            let table = object.table.as_ref();
            let with_table = drift.lost_tables.iter().any(|(lost, _)| Some(lost) == table);
            let as_column = drift.tables.iter().any(|of| {
                let lost = of.lost_columns.iter().any(|(name, _)| Some(name) == object.column.as_ref());
                Some(&of.table) == table && lost
            });
            let by_itself = drift.objects.contains(&('-', identity.clone()));
            prop_assert!(with_table || as_column || by_itself, "{} is lost", identity);
        }
    }
}
