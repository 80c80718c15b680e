//! The numbers of enums. The documents have the names alone, in the order of the numbers.

use serde_json::Value;

type Exceptions = (&'static str, usize, &'static [(i64, &'static str)]);

/// Enums, known by their first name, in which only so many names have the number of their place,
/// and the numbers of others. The sources at <https://github.com/googleapis/googleapis> have them.
const EXCEPTIONS: &[Exceptions] = &[
    (
        "SQL_DATABASE_VERSION_UNSPECIFIED",
        1,
        &[
            (23, "POSTGRES_13"),
            (110, "POSTGRES_14"),
            (172, "POSTGRES_15"),
            (272, "POSTGRES_16"),
            (408, "POSTGRES_17"),
            (557, "POSTGRES_18"),
        ],
    ),
    ("SQL_FILE_TYPE_UNSPECIFIED", 3, &[(4, "BAK"), (8, "TDE")]),
    (
        "SQL_INSTANCE_TYPE_UNSPECIFIED",
        4,
        &[(5, "READ_POOL_INSTANCE"), (7, "GREEN_INSTANCE")],
    ),
    (
        "EDITION_UNSPECIFIED",
        1,
        &[(2, "ENTERPRISE"), (3, "ENTERPRISE_PLUS")],
    ),
    (
        "TRANSFER_STATE_UNSPECIFIED",
        1,
        &[
            (2, "PENDING"),
            (3, "RUNNING"),
            (4, "SUCCEEDED"),
            (5, "FAILED"),
            (6, "CANCELLED"),
        ],
    ),
    (
        "LAUNCH_STAGE_UNSPECIFIED",
        1,
        &[
            (6, "UNIMPLEMENTED"),
            (7, "PRELAUNCH"),
            (1, "EARLY_ACCESS"),
            (2, "ALPHA"),
            (3, "BETA"),
            (4, "GA"),
            (5, "DEPRECATED"),
        ],
    ),
    (
        // The severity of a log's entry.
        "DEFAULT",
        1,
        &[
            (100, "DEBUG"),
            (200, "INFO"),
            (300, "NOTICE"),
            (400, "WARNING"),
            (500, "ERROR"),
            (600, "CRITICAL"),
            (700, "ALERT"),
            (800, "EMERGENCY"),
        ],
    ),
];

/// The name of a number in the enum of these names.
pub(super) fn name(names: &[Value], number: i64) -> Option<String> {
    let first = names.first()?.as_str()?;
    let known = EXCEPTIONS.iter().find(|known| known.0 == first);
    let (ordered, exceptions) = known.map_or((names.len(), &[][..]), |known| (known.1, known.2));
    if let Some((_, name)) = exceptions.iter().find(|(known, _)| *known == number) {
        return Some((*name).to_owned());
    }
    let place = usize::try_from(number).ok().filter(|&it| it < ordered)?;
    names.get(place)?.as_str().map(str::to_owned)
}
