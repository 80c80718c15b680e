//! The list: which guards there are, and where.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What one file of the list says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The guards.
    #[serde(default, rename = "guard")]
    pub guards: Vec<Guard>,
    /// The hazards without code that could be taken out.
    #[serde(default, rename = "nothing")]
    pub nothing: Vec<Nothing>,
}

/// A guard, and the test that fails without it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The hazards that it stands against.
    pub hazards: Vec<String>,
    /// What it does.
    pub what: String,
    /// The name of the test, with modules before it where the name alone means several.
    pub test: String,
    /// Its code. All of it is taken out at once.
    #[serde(rename = "cut")]
    pub cuts: Vec<Cut>,
}

/// A piece of code, and what stands in its place when it is out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The file, from the top of the repository.
    pub file: PathBuf,
    /// The code, which is there once; what is blank around it does not count.
    pub code: String,
    /// What stands there instead: nothing, if the code is statements.
    pub instead: Option<String>,
}

/// Why nothing can be taken out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {
    /// The hazard.
    pub hazard: String,
    /// The reason.
    pub why: String,
}

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl List {
    /// Reads every file in `guards/`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, with its name.
    pub fn read() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guards");
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut all = Self::default();
        for file in files {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let list: Self =
                toml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
            all.guards.extend(list.guards);
            all.nothing.extend(list.nothing);
        }
        Ok(all)
    }
}

impl Guard {
    /// What a person calls it by: its hazards and what it does.
    pub fn name(&self) -> String {
        format!("{}: {}", self.hazards.join(", "), self.what)
    }
}
