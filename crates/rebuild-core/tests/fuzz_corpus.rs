//! Every input that the fuzzing keeps, with the functions that it was found by: a property that was
//! mended stays so without a fuzzer.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use rebuild_core::testing::fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn in_folder(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("UTF-8")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_property_holds_for_every_input_that_is_kept() {
    let corpus = fuzz().join("corpus");
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

/// The words of a target's dictionary: a line each, in quotes, with bytes as `\xNN`.
fn words(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(fuzz().join("dictionaries").join(target));
    let text = text.expect("a dictionary");
    let quoted = text
        .lines()
        .filter_map(|l| l.strip_prefix('"')?.strip_suffix('"'));
    let word = |quoted: &str| {
        let mut pieces = quoted.split("\\x");
        let mut word = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let (byte, rest) = piece.split_at(2);
            word.push(u8::from_str_radix(byte, 16).expect("a byte"));
            word.extend_from_slice(rest.as_bytes());
        }
        word
    };
    quoted.map(word).collect()
}

/// A word or none, and other text, and where both go.
type Piece = (Index, Option<Index>, String);

/// Puts the pieces into `input`.
fn with_pieces(mut input: Vec<u8>, words: &[Vec<u8>], pieces: &[Piece]) -> Vec<u8> {
    for (at, word, text) in pieces {
        let at = at.index(input.len() + 1);
        let word = word.map(|n| n.get(words).as_slice()).unwrap_or_default();
        input.splice(at..at, [word, text.as_bytes()].concat());
    }
    input
}

/// A fuzzer does more of it, and is not run by everybody.
#[test]
fn every_property_holds_for_inputs_made_of_the_words_of_a_dictionary() {
    for (name, target) in TARGETS {
        let words = words(name);
        assert!(words.len() > 10, "{name}");
        let corpus = fuzz().join("corpus").join(name);
        let kept: Vec<Vec<u8>> = in_folder(&corpus)
            .iter()
            .map(|file| std::fs::read(corpus.join(file)).expect("an input"))
            .filter(|input| input.len() < 2000)
            .collect();
        let piece = (any::<Index>(), any::<Option<Index>>(), "\\PC{0,3}");
        let pieces = prop::collection::vec(piece, 0..12);
        let from = any::<Option<Index>>();
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(256)
        };
        proptest!(config, |(from in from, pieces in pieces)| {
            let from = from.map(|n| n.get(&kept).clone()).unwrap_or_default();
            target(&with_pieces(from, &words, &pieces));
        });
    }
}
