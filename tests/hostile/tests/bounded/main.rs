//! The fuzz targets without a fuzzer: they get the corpus, and what a fixed seed makes of
//! it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use mutate::Mutator;

/// How many mutants each target gets. All of them take a few seconds.
const ROUNDS: usize = 300;

#[test]
fn database() {
    bear("database", understudy_hostile::database);
}

#[test]
fn environment() {
    bear("environment", understudy_hostile::environment);
}

#[test]
fn frames() {
    bear("frames", understudy_hostile::frames);
}

#[test]
fn names() {
    bear("names", understudy_hostile::names);
}

#[test]
fn nvme() {
    bear("nvme", understudy_hostile::nvme);
}

#[test]
fn saved() {
    bear("saved", understudy_hostile::saved);
}

#[test]
fn scsi() {
    bear("scsi", understudy_hostile::scsi);
}

#[test]
fn sysfs() {
    bear("sysfs", understudy_hostile::sysfs);
}

/// Gives a target its corpus and the mutants. An input that makes it panic is left in a
/// file, for people to look at.
fn bear(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let seeds = seeds(&corpus.join(name));
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(ROUNDS, |n| n.parse().unwrap());
    let mut mutator = Mutator::new(seeds.clone());
    let mutants = std::iter::from_fn(|| Some(mutator.next()));
    for input in seeds.into_iter().chain(mutants.take(rounds)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            fs::write(&kept, &input).unwrap();
            eprintln!("the input is {}", kept.display());
            resume_unwind(panic);
        }
    }
}

/// Returns the corpus of a target, in an order that is the same everywhere.
fn seeds(dir: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}
