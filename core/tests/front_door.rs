//! What is public in core has a user outside of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names that others meet without writing them: types that are an argument or a result, and
/// what only a program of somebody else's calls.
const UNWRITTEN: [&str; 10] = [
    "AUTO",
    "DiskPath",
    "GroupError",
    "Left",
    "Planner",
    "Preserve",
    "Smaller",
    "Told",
    "Took",
    "is_native",
];

/// Returns the text of every Rust file below a directory.
fn sources(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut texts = Vec::new();
    for path in entries {
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// Returns the words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// Returns the name of the item that a line makes public, if it makes one so.
fn public(line: &str) -> Option<&str> {
    let item = line.trim_start().strip_prefix("pub ")?;
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
    let mut words = words(item).skip_while(|word| *word == "unsafe" || *word == "async");
    kinds.contains(&words.next()?).then(|| words.find(|word| *word != "fn"))?
}

#[test]
fn what_is_public_is_used_outside() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = core.parent().unwrap();
    let users = ["agent", "tests"].map(|dir| sources(&root.join(dir)));
    // The page of the crate and the node are for everybody.
    let doors = ["src/lib.rs", "src/node.rs"]
        .map(|file| fs::read_to_string(core.join(file)).unwrap());
    let used: BTreeSet<_> =
        users.iter().flatten().chain(&doors).flat_map(|text| words(text)).collect();
    let texts = sources(&core.join("src"));
    let unused: Vec<_> = texts
        .iter()
        .flat_map(|text| text.lines().filter_map(public))
        .filter(|name| !used.contains(name) && !UNWRITTEN.contains(name))
        .collect();
    assert!(unused.is_empty(), "public, and used by core alone: {unused:?}");
    let named = UNWRITTEN.iter().filter(|name| used.contains(*name));
    assert_eq!(named.count(), 0, "a name in the list is written outside");
}
