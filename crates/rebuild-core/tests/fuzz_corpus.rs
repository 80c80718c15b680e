//! Every input that the fuzzing keeps, with the functions that it was found by: a property that was
//! mended stays so without a fuzzer.

use std::panic::catch_unwind;
use std::path::Path;

use rebuild_core::testing::fuzz::TARGETS;

#[test]
fn every_property_holds_for_every_input_that_is_kept() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let in_folder = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("UTF-8")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort_unstable();
        names
    };
    let known = TARGETS.map(|(name, _)| name);
    assert_eq!(in_folder(&corpus), known, "a folder for each target");
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let inputs = in_folder(&corpus.join(name));
        assert!(inputs.len() > 5, "{name} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = std::fs::read(corpus.join(name).join(&input)).expect("an input");
            if catch_unwind(|| target(&bytes)).is_err() {
                broken.push(format!("{name}/{input}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
